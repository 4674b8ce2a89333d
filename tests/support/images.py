"""What Docker says of images, and what is in them."""

import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from conftest import run


def inspect(image: str) -> dict:
    """What docker knows of an image."""
    return json.loads(run("docker", "image", "inspect", image).stdout)[0]


def tags() -> str:
    """Every image's name and tag."""
    return run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").stdout


@contextmanager
def exported(image: str, scratch: Path) -> Iterator[tarfile.TarFile]:
    """An image's files as an open archive, removed in the end."""
    archive = scratch / f"{image}.tar"
    container = run("docker", "create", image).stdout.strip()
    run("docker", "export", "--output", archive, container)
    run("docker", "rm", container)
    with tarfile.open(archive) as tar:
        yield tar
    archive.unlink()


def files_of(image: str, scratch: Path) -> dict[str, bytes]:
    """Every file and link in an image with the contents of the small ones, and its folders without."""
    with exported(image, scratch) as tar:
        return {
            m.name: tar.extractfile(m).read() if m.isfile() and m.size < 1 << 20 else b""
            for m in tar
        }  # type: ignore[union-attr]


def tree_of(image: str, scratch: Path) -> set[tuple[object, ...]]:
    """Every path in an image with mode, owner, where it links to and the digest of what it holds; no times."""
    with exported(image, scratch) as tar:
        digests = {m.name: sha256(tar.extractfile(m).read()).hexdigest() for m in tar if m.isfile()}  # type: ignore[union-attr]
        return {
            (m.name, m.mode, m.uid, m.gid, m.type, m.linkname, digests.get(m.name)) for m in tar
        }
