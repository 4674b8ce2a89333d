"""Remove package images that no other image uses, and images without a name.

Usage: clean_images.py       (make clean-images)

A package image is used if an image with another name is built on it. An image without a
name is removed only if the engine's scripts have made it and it is not used. Docker keeps an image
of a container. This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from typing import NamedTuple

SHARED = ("s2i-packages:", "s2i-setup:")
TITLE = "org.opencontainers.image.title"
# builders.sh gives these labels to its images. Images that are built on them inherit them.
BUILDER = ("base-image", "assemble-user")
# s2i gives this label to the images that it builds, also for users who run it without make.
S2I = "io.openshift.s2i.build.image"


class Image(NamedTuple):
    """An image: its id, its names, its layers from the base on, and its labels."""

    id: str
    names: tuple[str, ...]
    layers: tuple[str, ...]
    labels: dict[str, str]


def docker(*arguments: str) -> str:
    """Return the output of a docker command; raise CalledProcessError if it fails."""
    return subprocess.run(
        ["docker", *arguments], check=True, stdout=subprocess.PIPE, encoding="utf-8"
    ).stdout


def list_images() -> list[Image]:
    """Return all images that have a name or that no other image is built on."""
    ids = sorted(set(docker("images", "--quiet", "--no-trunc").split()))
    found = json.loads(docker("image", "inspect", *ids)) if ids else []
    return [
        Image(
            image["Id"],
            tuple(image["RepoTags"] or ()),
            tuple(image["RootFS"].get("Layers") or ()),
            image["Config"].get("Labels") or {},
        )
        for image in found
    ]


def is_removable(image: Image) -> bool:
    """Return whether an image may be removed if no other image uses it."""
    if image.names:
        return all(name.startswith(SHARED) for name in image.names)
    is_ours = all(label in image.labels for label in BUILDER)
    # Without a title, an image is a builder, or it was built with s2i alone.
    return is_ours and (TITLE in image.labels or S2I not in image.labels)


def unused_images(images: Iterable[Image]) -> list[Image]:
    """Return the removable images that no other image uses.

    An image that is built on another one of them comes before it.
    """
    removable = [image for image in images if is_removable(image)]
    kept = [image for image in images if not is_removable(image)]

    def is_used(image: Image) -> bool:
        size = len(image.layers)
        return any(other.layers[:size] == image.layers for other in kept)

    unused = [image for image in removable if not is_used(image)]
    return sorted(unused, key=lambda image: -len(image.layers))


def remove(name: str) -> bool:
    """Remove an image by its name or id; return whether Docker has removed it."""
    command = ["docker", "rmi", name]
    return subprocess.run(command, capture_output=True).returncode == 0


def main() -> int:
    """Remove the images, print them and return the exit code."""
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        unused = unused_images(list_images())
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"clean_images: cannot list the images: {error}. Start Docker.", file=sys.stderr)
        return 69

    for image in unused:
        for name in image.names or (image.id,):
            kept = f"Kept {name}, because a container or an image uses it"
            print("--->", f"Removed {name}" if remove(name) else kept)
    if not unused:
        print("---> All package images are in use")
    return 0


if __name__ == "__main__":
    sys.exit(main())
