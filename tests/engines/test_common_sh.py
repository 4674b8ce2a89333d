"""engines/common.sh: what it reads from a Makefile."""

import shlex
from pathlib import Path

import pytest
from support.commands import output_of, run


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
