"""constraints.txt: it has every pin, and each pin has a wheel for each Python."""

import re
from pathlib import Path

import pytest
from pip_settings import settings
from support.commands import ROOT, Completed, run

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
# A platform for which every package has wheels, the tools of lint too.
PLATFORM = "x86_64-manylinux_2_28"
VERSIONS = run("bash", "-c", '. engines/common.sh; echo "${PYTHON_VERSIONS[@]}"').stdout.split()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_constraints_hold_every_pin_of_a_requirements_file(file: Path) -> None:
    assert pins(file.read_text()) - CONSTRAINTS == set()


def test_another_version_is_not_in_the_constraints() -> None:
    assert pins("numpy==0.0.1\nno-such-package == 1.0\n") - CONSTRAINTS == {
        ("numpy", "0.0.1"),
        ("no-such-package", "1.0"),
    }


def plan(version: str, target: Path) -> Completed:
    """Plan the installation of constraints.txt from wheels, for a Python version."""
    uv = next((ROOT / ".local/cache").glob("uv-*/bin/uv"))
    options = ("--dry-run", "--target", target, "--only-binary", ":all:", "--require-hashes")
    python = ("--python-version", version, "--python-platform", PLATFORM)
    variables = {**settings(), "UV_CACHE_DIR": str(ROOT / ".local/cache/wheels")}
    return run(uv, "pip", "install", *options, *python, "-r", "constraints.txt", env=variables)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_pin_has_a_wheel_for_each_supported_python(version: str, tmp_path: Path) -> None:
    assert "Would install" in plan(version, tmp_path).stderr


def test_a_python_without_wheels_is_found(tmp_path: Path) -> None:
    failed = plan("3.99", tmp_path)
    assert (failed.returncode, "has no usable wheels" in failed.stderr) == (1, True)
