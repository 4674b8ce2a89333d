"""builders/version_conflict.py: the advice after a conflict with constraints.txt."""

from pathlib import Path

import pytest
from version_conflict import explain_conflict

REPORT = """  x No solution found when resolving dependencies:
  `-> Because you require alpha==2.0 and alpha==1.0, we can conclude that your
      requirements are unsatisfiable.
"""


def conflict(tmp_path: Path, report: str, constraints: str, **files: str) -> str:
    """Return the advice, with the names of files in tmp_path."""
    for name, text in {"constraints.txt": constraints, **files}.items():
        (tmp_path / name).write_text(text)
    paths = [str(tmp_path / name) for name in files]
    texts = explain_conflict(report, str(tmp_path / "constraints.txt"), paths)
    return "".join(f"{text}\n" for text in texts).replace(f"{tmp_path}/", "")


def test_conflict_names_the_file_of_the_requirement_and_the_ways_out(tmp_path: Path) -> None:
    files = {"one.txt": "beta==1\n", "two.txt": "# alpha\nalpha==2.0\n", "three.txt": "alpha-x\n"}
    expected = (
        "install: constraints.txt has alpha==1.0, and the versions above conflict with it. Change "
        "the version in two.txt, run make constraints, or remove alpha from constraints.txt.\n"
    )
    assert conflict(tmp_path, REPORT, "alpha==1.0 \\\n    --hash=sha256:0\n", **files) == expected
    assert conflict(tmp_path, REPORT, "alpha==1.0\n", **files) == expected
    assert conflict(tmp_path, REPORT, "alpha==1.0 ; python_version > '3'\n", **files) == expected


def test_conflict_of_a_dependency_names_no_file_of_its_own(tmp_path: Path) -> None:
    output = conflict(tmp_path, REPORT, "alpha==1.0\n", **{"one.txt": "beta==1\n"})
    assert "Change the version in the requirements files, run make constraints" in output


@pytest.mark.parametrize(
    ("report", "constraints"),
    [
        (REPORT, ""),
        (REPORT, "beta==1.0\n"),
        (REPORT, "alpha==1.0.1\n"),
        (REPORT, "an-alpha==1.0\n"),
        ("Hash mismatch for `alpha==1.0`", "alpha==1.0\n"),
        ("", "alpha==1.0\n"),
    ],
)
def test_other_errors_have_no_advice(tmp_path: Path, report: str, constraints: str) -> None:
    assert conflict(tmp_path, report, constraints, **{"one.txt": "alpha==2.0\n"}) == ""
