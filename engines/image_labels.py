"""Print the labels of a Docker image, as one instruction of a Dockerfile.

Usage: image_labels.py IMAGE

One instruction is one step of `docker build`. Each `--label` would be a step of its own.

The names are those of the OCI image specification. The labels of s2i that contain the name of the
build's temporary tag or folder get other values. SOURCE_DATE_EPOCH, in seconds since 1970, sets the
time of the image. This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import datetime
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def git(*arguments: str) -> str:
    """Return the output of a git command, or an empty text if it fails."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def source_url() -> str:
    """Return the address of the remote repository without a user and a password.

    The address is empty if there is none, or if it is a path on this machine.
    """
    address = git("config", "--get", "remote.origin.url")
    without_user = re.sub(r"^(\w+://)[^/@]*@", r"\1", address)
    is_remote = re.match(r"\w+://", without_user) and not without_user.startswith("file:")
    # The short form of SSH is user@host:path.
    short = re.match(r"(?:[\w.-]+@)?([\w.-]{2,}):(?!//)(.+)", address)
    if is_remote:
        return without_user
    return f"ssh://{short[1]}/{short[2]}" if short else ""


def created(variables: dict[str, str]) -> str:
    """Return the time of the image in the form of RFC 3339."""
    seconds = variables.get("SOURCE_DATE_EPOCH")
    utc = datetime.timezone.utc
    time = datetime.datetime.fromtimestamp(int(seconds), utc) if seconds else None
    return (time or datetime.datetime.now(utc)).strftime("%Y-%m-%dT%H:%M:%SZ")


def labels(image: str, variables: dict[str, str]) -> dict[str, str]:
    """Return the labels of an image: value by name.

    Raises ValueError if SOURCE_DATE_EPOCH is not a whole number.
    """
    source = source_url()
    return {
        "org.opencontainers.image.title": image,
        "org.opencontainers.image.version": git("describe", "--tags", "--always", "--dirty"),
        "org.opencontainers.image.revision": git("rev-parse", "HEAD"),
        "org.opencontainers.image.source": source,
        "org.opencontainers.image.created": created(variables),
        "io.k8s.display-name": image,
        "io.openshift.s2i.build.source-location": source,
    }


def instruction(values: dict[str, str]) -> str:
    """Return the LABEL instruction that sets labels."""
    escaped = {name: re.sub(r'(["\\$])', r"\\\1", value) for name, value in values.items()}
    return " ".join(["LABEL", *(f'{name}="{value}"' for name, value in escaped.items())])


def main(arguments: list[str]) -> int:
    """Print the instruction and return the exit code."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        found = labels(arguments[0], dict(os.environ))
    except (ValueError, OverflowError, OSError):
        value = os.environ["SOURCE_DATE_EPOCH"]
        problem = f"SOURCE_DATE_EPOCH={value}: expected seconds since 1970"
        print(f"image_labels: {problem}. Set a whole number, or unset it.", file=sys.stderr)
        return 78
    print(instruction(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
