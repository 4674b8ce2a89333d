"""constraints.txt contains every pin of the requirements files."""

import re
from pathlib import Path

import pytest
from support.commands import ROOT, run

PIN = re.compile(r"^([A-Za-z0-9._-]+)\s*==\s*([A-Za-z0-9.]+)", re.MULTILINE)
# The benchmarks and their peers have environments of their own, the installer has its own file of
# hashes, and the foreign application shows that constraints are optional.
WITHOUT_CONSTRAINTS = ("bench/", "tests/foreign/", "builders/runtime/requirements_install.txt")


def pins(text: str) -> set[tuple[str, str]]:
    """Return the names and versions that a file pins."""
    return {(name.lower().replace("_", "-"), version) for name, version in PIN.findall(text)}


LISTED = run("git", "ls-files", "*requirements*.txt").stdout.splitlines()
FILES = [ROOT / name for name in LISTED if not name.startswith(WITHOUT_CONSTRAINTS)]
CONSTRAINTS = pins((ROOT / "constraints.txt").read_text())


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_constraints_hold_every_pin_of_a_requirements_file(file: Path) -> None:
    assert pins(file.read_text()) - CONSTRAINTS == set()


def test_another_version_is_not_in_the_constraints() -> None:
    assert pins("numpy==0.0.1\nno-such-package == 1.0\n") - CONSTRAINTS == {
        ("numpy", "0.0.1"),
        ("no-such-package", "1.0"),
    }
