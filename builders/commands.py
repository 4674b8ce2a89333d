"""Small commands that shell scripts need from Python.

Usage: commands.py digest FILE...              prints a short name for the files' contents
       commands.py tree DIRECTORY...           prints a digest of all files in the directories
       commands.py rename SOURCE TARGET        renames a directory; fails if TARGET has contents
       commands.py limit SECONDS COMMAND...    runs COMMAND; fails once SECONDS are over
       commands.py object [NAME VALUE]...      prints a JSON object of texts

This file is part of the builder images, because builders/install.sh also runs inside them.
It uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

# What an installed package depends on.
PYTHON = (sys.version, sys.base_prefix, sysconfig.get_platform())


def digest(*files: str) -> int:
    """Print 16 hexadecimal digits for the contents of `files`.

    The digits also depend on the Python version and on the platform.
    """
    parts = [*PYTHON]
    for name in files:
        with open(name, encoding="utf-8") as file:
            parts.append(file.read())

    print(hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16])
    return 0


def tree(*directories: str) -> int:
    """Print a digest of the names and contents of all files in `directories`.

    Bytecode is left out.
    """
    parts = []
    for directory in directories:
        parts.append("directory")
        for path in sorted(Path(directory).rglob("*")):
            if "__pycache__" not in path.parts:
                parts.append(repr((str(path.relative_to(directory)), *describe(path))))

    print(hashlib.sha256("\n".join(parts).encode()).hexdigest())
    return 0


def describe(path: Path) -> tuple[str, ...]:
    """Return the kind of a path and what it has.

    For a link, that is its target. For a file, it is its executable bits and the digest of its
    content. Other bits of the mode differ between the clones of two users.
    """
    if path.is_symlink():
        return ("link", os.readlink(path))
    if path.is_file():
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        return ("file", oct(path.stat().st_mode & 0o111), content)
    return ("other",)


def rename(source: str, target: str) -> int:
    """Rename a directory; return 1 if `target` has contents.

    `mv` is not used, because it moves `source` into an existing `target`.
    """
    try:
        os.rename(source, target)
    except OSError:
        return 1
    return 0


def limit(seconds: str, *command: str) -> int:
    """Return the exit code of `command`, or 1 if it takes longer than `seconds`.

    The shell command `timeout` does not exist on macOS.
    """
    try:
        completed = subprocess.run(command, timeout=float(seconds), stderr=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return 1
    return completed.returncode


def json_object(*words: str) -> int:
    """Print a JSON object whose names and values alternate in `words`."""
    names = words[::2]
    values = words[1::2]
    print(json.dumps(dict(zip(names, values))))
    return 0


COMMANDS: dict[str, Callable[..., int]] = {
    "digest": digest,
    "tree": tree,
    "rename": rename,
    "limit": limit,
    "object": json_object,
}


def main(arguments: list[str]) -> int:
    """Run one of the commands in this module's docstring and return its exit code."""
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    return COMMANDS[arguments[0]](*arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
