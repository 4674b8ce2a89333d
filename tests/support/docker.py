"""Docker: build images with make and s2i, read their files, and remove them.

This module defines docker_problem, image_of, make_docker, make_named_clone, make_docker_clone,
build_builder, remove_images, package_images, start_build, s2i_build, mount_settings, WHEELS,
inspect, tags, exported, files_of, tree_of.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from support.clones import make_clone
from support.commands import ROOT, Completed, make, output_of, run

SMALL_FILE_BYTES = 1 << 20
# Arguments of s2i that mount the wheels of earlier builds.
WHEELS = ("--volume", "s2i-python-wheels:/var/cache/s2i")


def docker_problem() -> str:
    """Return why the docker engine can't be used; empty if it can."""
    return run("bash", "-c", ". engines/choose.sh; docker_problem").stdout.strip()


def make_docker(clone: Path, directory: str, *targets: str, **variables: object) -> Completed:
    """Run make in a directory of a clone, under the docker engine."""
    return make(clone, directory, *targets, ENGINE="docker", **variables)


def image_of(clone: Path, directory: str, role: str) -> str:
    """Return the name that make gives to an image of a model directory."""
    lines = (clone / directory / "Makefile").read_text().splitlines()
    line = next(line for line in lines if line.startswith("CONTAINER_NAME"))
    name = line.split()[-1]
    return f"{name}-{role}"


def make_named_clone(parent: Path, prefix: str) -> Path:
    """Make a clone whose images' names begin with `prefix`.

    No other process has images with these names.
    """
    clone = make_clone(parent)
    if (ROOT / "tools/bin").exists():
        (clone / "tools/bin").symlink_to(ROOT / "tools/bin")

    for makefile in clone.glob("*/Makefile"):
        text = makefile.read_text()
        renamed = text.replace("CONTAINER_NAME := ", f"CONTAINER_NAME := {prefix}-")
        makefile.write_text(renamed)

    return clone


def make_docker_clone(parent: Path, prefix: str) -> Path:
    """Make a clone as make_named_clone does, and the builder images."""
    clone = make_named_clone(parent, prefix)
    output_of(make_docker(clone, ".", "builders"))
    return clone


def build_builder(target: str, base: str, image: str) -> None:
    """Build one of the two builder images, model or daemon, on a base image."""
    options = ("--quiet", "--target", target, "--build-arg", f"BASE_IMAGE={base}")
    output_of(run("docker", "build", *options, "--tag", image, ROOT / "builders"))


def remove_images(prefix: str) -> None:
    """Remove containers and images whose names begin with `prefix`.

    It also removes older images whose name a later build has taken.
    """
    containers = run("docker", "ps", "-aq", "--filter", f"name=^{prefix}-")
    run("docker", "rm", "--force", *containers.stdout.split())

    images = run("docker", "images", "--format", "{{.Repository}}", f"{prefix}-*")
    for name in images.stdout.split():
        run("docker", "rmi", name)

        label = f"label=io.k8s.display-name={name}"
        dangling = run("docker", "images", "-q", "--filter", "dangling=true", "--filter", label)
        run("docker", "rmi", *dangling.stdout.split())


def package_images() -> set[str]:
    """Return the names of the package images, which all clones share."""
    return {name for name in tags().split() if name.startswith(("s2i-packages:", "s2i-setup:"))}


def start_build(victim: tuple[Path, str], scratch: Path, line: str) -> subprocess.Popen[str]:
    """Start the build of a predict image, and return when it has printed a line.

    `victim` is a model directory and the name of the image. The build makes its files in `scratch`.
    """
    directory, image = victim
    building = subprocess.Popen(
        [directory.parent / "build.sh", image, directory.name, "predict"],
        env={**os.environ, "ENGINE": "docker", "TMPDIR": str(scratch)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # s2i writes the container's output to stderr.
    assert building.stderr
    for printed in building.stderr:
        if line in printed:
            break
    return building


def s2i_build(context: Path, builder: str, image: str, *arguments: object) -> Completed:
    """Run `s2i build -c` on a context, as a user does without make."""
    s2i = shutil.which("s2i") or ROOT / "tools/bin/s2i"
    never = ("--pull-policy", "never")
    return run(s2i, "build", "-c", context, builder, image, *never, *arguments)


def mount_settings(folder: Path) -> tuple[str, str]:
    """Write this machine's settings of pip to `folder`; return the option for it."""
    folder.mkdir()
    output_of(run(sys.executable, ROOT / "engines/pip_settings.py", folder))
    return ("-v", f"{folder}:/run/s2i-settings:ro")


def inspect(image: str) -> dict:
    """Return what `docker image inspect` reports of an image."""
    return json.loads(run("docker", "image", "inspect", image).stdout)[0]


def tags() -> str:
    """Return every image's name and tag, one per line."""
    return run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").stdout


@contextmanager
def exported(image: str, scratch: Path) -> Iterator[tarfile.TarFile]:
    """Open an archive of an image's files; remove it at the end."""
    archive = scratch / f"{image}.tar"
    container = run("docker", "create", image).stdout.strip()
    run("docker", "export", "--output", archive, container)
    run("docker", "rm", container)

    with tarfile.open(archive) as tar:
        yield tar
    archive.unlink()


def content_of(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """Return the content of a regular file in an archive."""
    file = tar.extractfile(member)
    assert file
    return file.read()


def files_of(image: str, scratch: Path) -> dict[str, bytes]:
    """Return every path in an image, with the contents of its small files."""
    files = {}
    with exported(image, scratch) as tar:
        for member in tar:
            is_small = member.isfile() and member.size < SMALL_FILE_BYTES
            files[member.name] = content_of(tar, member) if is_small else b""
    return files


def tree_of(image: str, scratch: Path) -> set[tuple[object, ...]]:
    """Return every path in an image with mode, owner, type, link and digest.

    It omits times, because they differ between two builds of the same source.
    """
    tree = set()
    with exported(image, scratch) as tar:
        for member in tar:
            digest = sha256(content_of(tar, member)).hexdigest() if member.isfile() else None
            owner = (member.uid, member.gid)
            tree.add((member.name, member.mode, *owner, member.type, member.linkname, digest))
    return tree
