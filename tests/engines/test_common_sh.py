"""engines/common.sh: what it reads from a Makefile, and which Python it chooses."""

import re
import shlex
import sys
from pathlib import Path

import pytest
from support.commands import ROOT, Completed, output_of, run

# A real Python that gives another number as its version.
OTHER_VERSION = """#!/bin/sh
exec {python} -c '
import sys
sys.version_info = ({version}, 0, "final", 0)
program = sys.argv.pop(2)
exec(program)' "$@"
"""


def makefile_value(directory: Path, name: str) -> str:
    """Return what engines/common.sh reads from a directory's Makefile."""
    command = f'. engines/common.sh; makefile_value "$1" {shlex.quote(name)}'
    return output_of(run("bash", "-c", command, "bash", directory))


@pytest.mark.parametrize(
    "line, value",
    [
        ("NAME := a\n", "a\n"),
        ("NAME:=a b\n", "a b\n"),
        ("OTHER_NAME := a\n", ""),
        ("NAMES := a\n", ""),
        ("# NAME := a\n", ""),
    ],
)
def test_a_makefiles_value_is_read(tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / "Makefile").write_text(f"FIRST := x\n{line}LAST := y\n")
    assert makefile_value(tmp_path, "NAME") == value


def add_python(folder: Path, program: str, version: str) -> None:
    """Write a Python program of a version, such as 3.14, into a folder."""
    numbers = version.replace(".", ", ")
    script = folder / program
    script.write_text(OTHER_VERSION.format(python=shlex.quote(sys.executable), version=numbers))
    script.chmod(0o755)


def choose_python(folder: Path, **variables: str) -> Completed:
    """Run choose_python with the Pythons of a folder, and print PYTHON."""
    command = '. engines/common.sh; choose_python; echo "${PYTHON##*/}"'
    path = f"{folder}:/usr/bin:/bin"
    return run("bash", "-c", command, "choose", env={"PATH": path, **variables})


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_python3_is_chosen_if_it_is_supported(tmp_path: Path, version: str) -> None:
    add_python(tmp_path, "python3", version)
    assert output_of(choose_python(tmp_path, PYTHON="")) == "python3\n"


@pytest.mark.parametrize("version", ["2.7", "3.1", "3.9", "3.10", "3.15"])
def test_other_versions_are_rejected(tmp_path: Path, version: str) -> None:
    add_python(tmp_path, "python3", version)
    done = choose_python(tmp_path, PYTHON=str(tmp_path / "python3"))
    assert (done.returncode, done.stdout) == (69, "")
    expected = f"PYTHON={tmp_path}/python3: expected Python 3.11 to 3.14, found "
    assert done.stderr.startswith(f"choose: {expected}")


def test_the_newest_supported_python_replaces_an_unsupported_python3(tmp_path: Path) -> None:
    for version in ("3.11", "3.14", "3.15"):
        add_python(tmp_path, f"python{version}", version)
    add_python(tmp_path, "python3", "3.15")
    assert output_of(choose_python(tmp_path, PYTHON="")) == "python3.14\n"


def test_without_a_supported_python_the_message_names_the_versions(tmp_path: Path) -> None:
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        add_python(tmp_path, name, "3.10")
    done = choose_python(tmp_path, PYTHON="")
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr.startswith("choose: no Python 3.11 to 3.14 on the PATH (python3 is ")
    assert done.stderr.endswith("). Set PYTHON to the path of one.\n")


RANGE = re.compile(r"(?:Python )?\b3\.\d+(?: to |-|, )3\.\d+")
LISTED = run("git", "ls-files", "*.md", "*.sh", ":!CHANGELOG.md", ":!bench").stdout.splitlines()


def ranges(text: str) -> set[str]:
    """Return the ranges of Python versions that a text names."""
    return set(RANGE.findall(text))


def test_every_text_names_the_same_range_of_versions() -> None:
    named = {name: ranges((ROOT / name).read_text()) for name in LISTED}
    found = {name for name in named if named[name]}
    assert {"README.md", "docs/engines.md", "engines/common.sh"} <= found
    assert {text for name in found for text in named[name]} == {"Python 3.11 to 3.14"}

    command = '. engines/common.sh; echo "Python ${PYTHON_VERSIONS[3]} to $PYTHON_VERSIONS"'
    assert output_of(run("bash", "-c", command)) == "Python 3.11 to 3.14\n"


def test_another_range_would_be_found() -> None:
    text = "Python 3.11-3.13, Python 3.11, 3.12 or 3.13, or Python 3.11 to 3.13"
    assert ranges(text) == {"Python 3.11-3.13", "Python 3.11, 3.12", "Python 3.11 to 3.13"}
