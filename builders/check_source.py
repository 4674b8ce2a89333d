"""Check the files of an application before a build copies them.

Usage: check_source.py SOURCE train|predict     IN_IMAGE=1 if the build runs in an image

The exit code is 78 if a file or a name cannot work. All such files are reported. This module uses
only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from requirement_files import RequirementError, read, referenced, requirements_file
from runtime.environment import CONFIGURATION, OWN_PACKAGE
from runtime.names import hidden_standard_modules

# The folders of the repository that are mounted into a container, or linked by the local engine.
MOUNTED = {"train": ("data", "models"), "predict": ("models",)}
# The folder of a virtual environment has this file. The build makes its own environment.
VIRTUAL_ENVIRONMENT = "pyvenv.cfg"


def name_problems(source: Path) -> Iterator[str]:
    """Yield a text for each module that hides another module which the server needs."""
    if any((source / name).exists() for name in (OWN_PACKAGE, f"{OWN_PACKAGE}.py")):
        yield f"the source has a module {OWN_PACKAGE!r}, which is a name of the builder. Rename it."
    yield from hidden_standard_modules(source)


def folder_problems(source: Path, role: str, in_image: bool) -> Iterator[str]:
    """Yield a text for each folder of the application that another folder hides."""
    for name in MOUNTED[role]:
        path = source / name
        if not os.path.lexists(path):
            continue
        if in_image:
            notice = f"{name}/ is part of the application. A mounted folder hides it."
            print(f"---> {notice}", flush=True)
        else:
            problem = f"the folder {name}/ of the repository replaces it"
            yield f"{path}: {problem}. Rename your folder."


def walk(source: Path) -> Iterator[Path]:
    """Yield every file and link of an application, without virtual environments."""
    for folder, names, files in os.walk(source):
        if VIRTUAL_ENVIRONMENT in files:
            names.clear()
            continue
        names[:] = sorted(set(names) - {".git", "__pycache__"})
        links = [name for name in names if os.path.islink(os.path.join(folder, name))]
        # Emacs keeps the lock of a file that is being edited in a link that leads nowhere.
        for name in sorted(name for name in [*files, *links] if not name.startswith(".#")):
            yield Path(folder, name)


def link_problem(path: Path, source: Path) -> str:
    """Return why a link cannot work in the copy of the application, or an empty text."""
    target = os.path.realpath(path)
    root = os.path.realpath(source)
    is_inside = target.startswith(f"{root}{os.sep}") and not os.path.isabs(os.readlink(path))
    if is_inside and os.path.exists(target):
        return ""
    problem = f"is a link to {os.readlink(path)}, which is not a file of the application"
    return f"{path}: {problem}. Replace the link by a copy of the file."


def report_unused_settings(path: Path) -> None:
    """Print a notice if a file has settings of uv, which the build does not read."""
    is_project = path.name == "pyproject.toml" and b"[tool.uv" in path.read_bytes()
    if path.name == "uv.toml" or is_project:
        advice = "Write them into the requirements file or pip.conf."
        print(f"---> The build does not use the settings of uv in {path}. {advice}", flush=True)


def file_problems(source: Path) -> Iterator[str]:
    """Yield a text for each link that leads outside, and each setup.sh for Windows."""
    for path in walk(source):
        problem = link_problem(path, source) if path.is_symlink() else ""
        if problem:
            yield problem
            continue
        report_unused_settings(path)
        if path.name == "setup.sh":
            lines = path.read_bytes().split(b"\n")
            windows = [number for number, line in enumerate(lines, 1) if line.endswith(b"\r")]
            if windows:
                advice = f"Convert the file: sed -i 's/\\r$//' {path.name}"
                problem = "ends with CR LF, which bash cannot read"
                yield f"{path}, line {windows[0]}: {problem}. {advice}"


def requirement_problems(source: Path, role: str, in_image: bool) -> Iterator[str]:
    """Yield a text if the requirements file of the role cannot work."""
    try:
        read_files = read(requirements_file(source, role))
    except RequirementError as error:
        yield str(error)
        return
    root = os.path.realpath(source)
    for where, path in referenced(read_files):
        # The local engine builds an image again only if a file of the application has changed.
        if not in_image and not os.path.realpath(path).startswith(f"{root}{os.sep}"):
            advice = "Copy it there, and write the path of the copy in this line."
            yield f"{where}: {path} is not a file of the application. {advice}"


def main(arguments: list[str]) -> int:
    """Print the problems of a source and return the exit code."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    source = Path(arguments[0])
    in_image = os.environ.get("IN_IMAGE", "0") == "1"
    problems = [
        *name_problems(source),
        *folder_problems(source, arguments[1], in_image),
        *file_problems(source),
        *requirement_problems(source, arguments[1], in_image),
    ]
    for problem in problems:
        print(f"assemble: {problem}", file=sys.stderr)
    return CONFIGURATION if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
