"""Commands for the files that decide which packages are installed.

Usage: requirement_commands.py key CONSTRAINTS FILE...
           prints a short name for all that the requirements files install
       requirement_commands.py stage MODEL_DIR PARENT
           copies the files outside of MODEL_DIR to which its requirements files refer; PARENT
           corresponds to the folder of MODEL_DIR

The exit code is 78 for a file that cannot work. This module uses only the standard library, and
runs on Python 3.9.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from commands import PYTHON, describe
from requirement_files import RequirementError, RequirementsFile, read, referenced

CONFIGURATION = 78  # EX_CONFIG in sysexits.h
# With these settings, the same requirements install other versions.
DECISIVE = (
    *("PIP_NO_BINARY", "PIP_ONLY_BINARY", "PIP_PRE"),
    *("UV_EXCLUDE_NEWER", "UV_PRERELEASE", "UV_RESOLUTION"),
)
NAMES = ("requirements_train.txt", "requirements_predict.txt", "requirements.txt")


def key(constraints: str, *names: str) -> int:
    """Print 16 hexadecimal digits for files and all to which they refer.

    The digits also depend on the file of binding versions, on the Python version and on the
    platform.
    """
    files = read([Path(name) for name in names])
    parts = [*PYTHON, *(file.text for file in files if file.lines)]
    parts += [f"{name}={os.environ[name]}" for name in DECISIVE if os.environ.get(name)]
    parts.append(Path(constraints).read_text(encoding="utf-8"))
    for _, path in referenced(files):
        if path not in [file.path for file in files]:
            parts.append(content_of(path))
    print(hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16])
    return 0


def content_of(path: Path) -> str:
    """Return a text that changes with the content of a file or folder."""
    paths = [path, *sorted(path.rglob("*"))]
    kept = [file for file in paths if "__pycache__" not in file.parts]
    return "\n".join(repr((os.path.relpath(file, path), *describe(file))) for file in kept)


def check_inside(files: list[RequirementsFile], root: Path) -> None:
    """Raise RequirementError if a file refers to a file outside of `root`."""
    for where, path in referenced(files):
        if not is_inside(path, root):
            advice = "Copy it there, and write the path of the copy in this line."
            raise RequirementError(f"{where}: {path} is outside of the folder {root}. {advice}")


def is_inside(path: Path, folder: Path) -> bool:
    """Return whether a path is a folder or below it, links resolved."""
    return Path(os.path.realpath(folder)) in [
        Path(os.path.realpath(path)),
        *Path(os.path.realpath(path)).parents,
    ]


def stage(directory: str, parent: str) -> int:
    """Copy the files outside of a directory to which its requirements files refer.

    The same relative path leads to them in the copy of the directory.
    """
    repository = Path(directory).parent
    own = [Path(directory) / name for name in NAMES]
    files = read([file for file in own if file.is_file()])
    check_inside(files, repository)
    for _, path in referenced(files):
        if is_inside(path, Path(directory)):
            continue
        # A requirements file may be a link to another file of the repository.
        original = os.path.realpath(path)
        target = os.path.join(parent, os.path.relpath(original, os.path.realpath(repository)))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if path.is_dir():
            shutil.copytree(original, target, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copyfile(original, target)
    return 0


COMMANDS: dict[str, Callable[..., int]] = {"key": key, "stage": stage}


def main(arguments: list[str]) -> int:
    """Run one of the commands in this module's docstring and return its exit code."""
    if len(arguments) < 2 or arguments[0] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        return COMMANDS[arguments[0]](*arguments[1:])
    except RequirementError as error:
        print(f"requirements: {error}", file=sys.stderr)
        return CONFIGURATION


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
