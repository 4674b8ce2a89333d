"""Read requirements files as pip does.

An error names the file and the line. This module uses only the standard library, and runs on
Python 3.9.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from requirement_lines import OF_THE_FILE, logical_lines, split_line

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    # UTF-32 comes first, because its mark begins with the mark of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
CODING = re.compile(rb"#.*?coding[:=]\s*([-\w.]+)")
URL = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+:")
NAMED = re.compile(r"([A-Za-z0-9][\w.-]*\s*(?:\[[^]]*\])?\s*@\s*)(\S.*)")
# The parts of a local package: its path, its extras or fragment, and its marker.
LOCAL = re.compile(r"([^;#]+?)((?:\[[^]]*\])?(?:#\S*)?\s*(?:;.*)?)")
ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
# Stands for the line's path.
PATH = "\0"


class RequirementError(Exception):
    """A requirements file that cannot work; the message names the file and the line."""


class Line(NamedTuple):
    """A line for uv.

    PATH in `text` stands for the file or folder `path`, if it is not None.
    """

    number: int
    text: str
    path: Path | None = None

    def render(self, convert: Callable[[Path], str]) -> str:
        """Return the text with its path as `convert` returns it."""
        return self.text.replace(PATH, convert(self.path)) if self.path else self.text


class RequirementsFile(NamedTuple):
    """A file that was read.

    `named_by` is the place that names it. `is_constraint` is true if it only limits versions.
    `options` are those of OF_THE_FILE.
    """

    path: Path
    named_by: str
    text: str
    lines: list[Line]
    is_constraint: bool
    options: dict[str, list[str]]


def decode(path: Path) -> str:
    """Return the text of a file, with the encodings that pip accepts.

    They are UTF-8, an encoding with a byte-order mark, and an encoding that one of the first two
    lines names. Raises RequirementError for any other file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RequirementError(f"{path}: cannot be read ({error.strerror}).") from None

    encoding = "utf-8"
    for mark, name in BOMS:
        if content.startswith(mark):
            return check_text(path, content[len(mark) :], name)
    for line in content.split(b"\n")[:2]:
        found = CODING.match(line)
        if found:
            encoding = found.group(1).decode()
    return check_text(path, content, encoding)


def check_text(path: Path, content: bytes, encoding: str) -> str:
    """Return the decoded content of a file.

    Raises RequirementError if it is not text in this encoding.
    """
    try:
        text = content.decode(encoding)
    except LookupError:
        raise RequirementError(f"{path}: {encoding!r} is not a known encoding.") from None
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        problem = f"{path}, line {number}: is not {encoding} text"
        advice = "Save the file as UTF-8, or name its encoding: `# -*- coding: latin-1 -*-`."
        raise RequirementError(f"{problem}. {advice}") from None
    if PATH in text:
        number = text[: text.index(PATH)].count("\n") + 1
        raise RequirementError(f"{path}, line {number}: has a NUL character. Save it as UTF-8.")
    return text.replace("\r\n", "\n")


def requirements_file(source: Path, role: str) -> list[Path]:
    """Return the requirements file that packages.sh installs, if there is one."""
    names = (f"requirements_{role}.txt", "requirements.txt")
    return [source / name for name in names if (source / name).is_file()][:1]


def read(files: list[Path]) -> list[RequirementsFile]:
    """Return the files and all requirements files to which they refer.

    Raises RequirementError for a line that cannot work.
    """
    found: dict[tuple[str, bool], RequirementsFile] = {}
    for file in files:
        _read(file, str(file), False, [], found)
    return list(found.values())


def _read(
    path: Path,
    named_by: str,
    is_constraint: bool,
    including: list[Path],
    found: dict[tuple[str, bool], RequirementsFile],
) -> None:
    """Add a file and the files to which it refers to `found`.

    `including` are the files that led to this one, the first one first.
    """
    key = (os.path.realpath(path), is_constraint)
    if key in found:
        return
    read_file = RequirementsFile(path, named_by, decode(path), [], is_constraint, {})
    found[key] = read_file
    chain = [*including, path]

    for number, text in logical_lines(read_file.text):
        where = f"{path}, line {number}"
        try:
            requirement, options = split_line(text, os.environ)
            nested, lines = parse_line(requirement, options, chain, number)
        except ValueError as error:
            raise RequirementError(f"{where}: {error}") from None
        read_file.lines.extend(lines)
        for name in OF_THE_FILE & options.keys():
            read_file.options.setdefault(name, []).extend(options[name])
        for file, constrains in nested:
            if os.path.realpath(file) in [os.path.realpath(other) for other in chain]:
                raise RequirementError(
                    f"{where}: {file} refers to itself. Remove one of the lines."
                )
            _read(file, where, constrains, chain, found)


def parse_line(
    requirement: str, options: dict[str, list[str]], chain: list[Path], number: int
) -> tuple[list[tuple[Path, bool]], list[Line]]:
    """Return the requirements files that a line names, and its lines for uv.

    Raises ValueError for a line that cannot work.
    """
    if requirement:
        hashes = "".join(f" --hash={value}" for value in options.get("hash", []))
        return [], [parse_requirement(requirement, hashes, chain, number)]

    nested = []
    for option in ("requirement", "constraint"):
        for value in options.get(option, []):
            # pip resolves these names relative to the file that has them, and no other.
            nested.append((find_file(value, chain[-1:]), option == "constraint"))
    lines = []
    for option in ("find-links", "index-url", "extra-index-url", "no-binary", "only-binary"):
        for value in options.get(option, []):
            lines.append(parse_location(f"--{option} ", value, chain, number))
    if "no-index" in options:
        lines.append(Line(number, "--no-index"))
    return nested, lines


def parse_location(option: str, value: str, chain: list[Path], number: int) -> Line:
    """Return the line of an option whose value may be a local path."""
    if "binary" in option or URL.match(value):
        return Line(number, option + value)
    return Line(number, option + PATH, find_file(value, chain))


def parse_requirement(requirement: str, hashes: str, chain: list[Path], number: int) -> Line:
    """Return the line of a package.

    Raises ValueError if it is a local package that does not exist.
    """
    named = NAMED.fullmatch(requirement)
    name, location = named.groups() if named else ("", requirement)
    if URL.match(location) or not is_path(location, bool(named)):
        return Line(number, requirement + hashes)
    found = LOCAL.fullmatch(location)
    if not found:
        raise ValueError(f"{location!r} is not the path of a package.")
    path, rest = found.groups()
    return Line(number, f"{name}{PATH}{rest}{hashes}", find_file(path, chain))


def is_path(location: str, is_named: bool) -> bool:
    """Return whether pip treats a requirement as a path."""
    word = re.split(r"[;\[#]", location)[0].strip()
    return is_named or "/" in word or word.startswith((".", "file:")) or word.endswith(ARCHIVES)


def find_file(value: str, chain: list[Path]) -> Path:
    """Return the path of a file or folder that a requirements file names.

    pip resolves some names relative to the file, and others relative to the folder in which it
    runs. That is the folder of the first file. Raises ValueError if nothing has this name.
    """
    if URL.match(value):
        advice = "Download the file, and write its path in this line."
        raise ValueError(f"{value} can change after the build. {advice}")
    if value.startswith("file:"):
        value = re.sub("^(//(localhost)?(?=/))?", "", unquote(value[len("file:") :]))
    for file in reversed(chain):
        path = Path(os.path.normpath(file.parent / value))
        if path.exists():
            return path
    raise ValueError(f"{value}: no such file or folder. A path is relative to {chain[-1].parent}/.")


def referenced(files: list[RequirementsFile]) -> Iterator[tuple[str, Path]]:
    """Yield each file or folder that decides the packages, and what names it."""
    for file in files:
        yield file.named_by, file.path
        for line in file.lines:
            if line.path:
                yield f"{file.path}, line {line.number}", line.path
