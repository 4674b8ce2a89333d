"""Install requirements files into a virtual environment with uv.

Usage: install_packages.py UV PYTHON CONSTRAINTS FILE...    (PYTHON is the environment's Python)

The versions in the file CONSTRAINTS are binding. uv gets copies of the files in the form that it
reads: UTF-8, one requirement on each line, full paths. This module uses only the standard library,
and runs on Python 3.9.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from requirement_commands import content_of
from requirement_files import URL, RequirementError, RequirementsFile, read
from version_conflict import explain_conflict

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# uv breaks long lines.
POSITION = re.compile(r"in\s+`(.+?)`\s+at\s+position\s+(\d+)")
FALSE = ("", "0", "f", "false", "n", "no", "off")
# These would install other files than those that the requirements files name.
IGNORED = ("UV_NO_VERIFY_HASHES", "UV_REQUIRE_HASHES", "UV_SYSTEM_PYTHON", "UV_CONFIG_FILE")
Copies = dict[str, RequirementsFile]


def normalise(name: str) -> str:
    """Return the name of a package as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def unpinned(files: list[RequirementsFile], constraints: Path) -> list[str]:
    """Return the packages without a hash in `constraints` or in their own line."""
    found = re.findall(rf"^{NAME.pattern}", constraints.read_text(), re.MULTILINE)
    pinned = {normalise(name) for name in found}
    names = set()
    for file in files:
        for line in file.lines:
            name = NAME.match(line.text)
            if name and line.path is None and " --hash=" not in line.text:
                names.add(normalise(name.group()))
    return sorted(names - pinned) if pinned else []


def uri(path: Path) -> str:
    """Return the address of a file or folder."""
    return path.absolute().as_uri()


def copy_of_folder(path: Path, scratch: Path) -> Path:
    """Copy the folder of a package and return the copy.

    A build of a package writes files into its folder, and an application may be read-only. The
    name of a copy changes with its content, because uv may take an old wheel from its cache.
    """
    digest = hashlib.sha256(content_of(path).encode()).hexdigest()[:16]
    copy = scratch / digest / path.name
    shutil.copytree(path, copy, dirs_exist_ok=True)
    return copy


def write_copies(files: list[RequirementsFile], folder: Path) -> Copies:
    """Write a copy of each file that has lines.

    Returns the files by the paths of their copies.
    """
    folder.mkdir()
    copies = {}
    for number, file in enumerate(files):
        texts: dict[int, list[str]] = {}
        for line in file.lines:
            path = line.path
            if path and path.is_dir() and not line.text.startswith("--"):
                path = copy_of_folder(path, folder)
            texts.setdefault(line.number, []).append(line._replace(path=path).render(uri))
        if texts:
            copy = folder / f"{number}-{file.path.name}"
            # Each requirement keeps the number of its line, for the messages of uv.
            lines = ["\n".join(texts.get(index, [])) for index in range(1, max(texts) + 1)]
            copy.write_text("\n".join(lines) + "\n", encoding="utf-8")
            copies[str(copy)] = file
    return copies


def arguments(files: list[RequirementsFile], copies: Copies) -> list[str]:
    """Return uv's arguments for files."""
    flags = {name for file in files for name in file.options}
    hosts = [host for file in files for host in file.options.get("trusted-host", [])]
    words = []
    for copy, file in copies.items():
        words += ["--constraint" if file.is_constraint else "--requirement", copy]
    if "require-hashes" in flags:
        words.append("--require-hashes")
    if "pre" in flags:
        words += ["--prerelease", "allow"]
    words += pip_options()
    for host in hosts:
        words += ["--allow-insecure-host", host]
    return words


def pip_options() -> list[str]:
    """Return uv's arguments for the variables of pip that uv does not read."""
    words = []
    if os.environ.get("PIP_NO_INDEX", "").lower() not in FALSE:
        words.append("--no-index")
    if os.environ.get("PIP_PRE", "").lower() not in FALSE:
        words += ["--prerelease", "allow"]
    for option in ("only-binary", "no-binary"):
        variable = f"PIP_{option.upper().replace('-', '_')}"
        for value in re.split(r"[\s,]+", os.environ.get(variable, "")):
            words += [f"--{option}", value] if value else []
    places = os.environ.get("PIP_FIND_LINKS", "").split()
    # An argument replaces this variable.
    places += os.environ.get("UV_FIND_LINKS", "").split(",")
    for place in places:
        # pip ignores a folder that does not exist.
        if URL.match(place) or os.path.exists(re.sub("^file://(localhost)?", "", place)):
            words += ["--find-links", place]
    return words


def environment(files: list[RequirementsFile]) -> dict[str, str]:
    """Return the variables for uv.

    As with pip, the index in a requirements file replaces the user's index.
    """
    ignored = [*IGNORED]
    if any("index-url" in file.options for file in files):
        ignored += ["UV_DEFAULT_INDEX", "UV_INDEX_URL"]
    return {name: value for name, value in os.environ.items() if name not in ignored}


def original_paths(report: str, copies: Copies) -> str:
    """Return uv's report with the files of the user, not their copies."""

    def line_of(found: re.Match[str]) -> str:
        copy = os.path.abspath(found.group(1))
        if copy not in copies:
            return found.group()
        number = Path(copy).read_bytes()[: int(found.group(2))].count(b"\n") + 1
        return f"in `{copies[copy].path}`, line {number}"

    report = POSITION.sub(line_of, report)
    for copy, file in copies.items():
        for name in (copy, os.path.relpath(copy)):
            report = report.replace(name, str(file.path))
    return report


def install(command: list[str], copies: Copies, options: list[str]) -> str:
    """Run uv for files and return its report if it fails, or an empty text."""
    completed = subprocess.run(
        [*command, *options],
        # uv leaves files in this folder.
        env={**environment([*copies.values()]), "TMPDIR": os.path.dirname(next(iter(copies)))},
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    report = original_paths(completed.stderr, copies)
    print(report, end="", file=sys.stderr)
    return (report or f"uv: exit code {completed.returncode}") if completed.returncode else ""


def install_all(command: list[str], files: list[list[RequirementsFile]], scratch: Path) -> str:
    """Install the files of each argument and return the report of a failure.

    With --require-hashes, pip and uv reject any other requirement without a hash. Therefore the
    files with this option are installed first. The others must then accept the same versions. The
    report is empty if nothing failed.
    """
    hashed: list[RequirementsFile] = []
    others: list[RequirementsFile] = []
    for group in files:
        is_hashed = any("require-hashes" in file.options for file in group)
        (hashed if is_hashed else others).extend(group)

    first = write_copies(hashed, scratch / "hashed")
    if first:
        report = install(command, first, arguments(hashed, first))
        if report:
            return report
    second = write_copies(others, scratch / "others")
    if not second:
        return ""
    options = arguments(others, second)
    for copy in first:
        options += ["--constraint", copy]
    return install(command, {**first, **second}, options)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield an empty folder; remove it at the end."""
    if os.environ.get("IN_IMAGE", "0") != "1":
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)
        return
    # The address of a package's folder stays in the environment, and two builds of an image must
    # give the same files. No other user is in an image.
    folder = Path(tempfile.gettempdir()) / "requirements"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def main(words: list[str]) -> int:
    """Install the files and return the exit code."""
    if len(words) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    uv, python, constraints, *names = words
    command = [uv, "pip", "install", "--quiet", "--no-config", "--python", python]
    command += ["--constraint", constraints]
    # An image would become larger. The build writes only the bytecode of the modules that the
    # application imports.
    if os.environ.get("IN_IMAGE", "0") != "1":
        command.append("--compile-bytecode")

    groups = [read([Path(name)]) for name in names]
    files = [file for group in groups for file in group]
    for name in unpinned(files, Path(constraints)):
        print(f"---> {name} is not in constraints.txt: installed without a hash", flush=True)
    with scratch_folder() as scratch:
        report = install_all(command, groups, scratch)
    for text in explain_conflict(report, constraints, [str(file.path) for file in files]):
        print(text, file=sys.stderr)
    return 1 if report else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except RequirementError as error:
        sys.exit(f"requirements: {error}")
