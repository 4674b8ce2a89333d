"""engines/stage.sh: the build context has every file that requirements name."""

import os
from pathlib import Path

import pytest
from requirement_files import RequirementError, read, referenced
from support.clones import add_model, build_wheel
from support.commands import Completed, output_of, run

WANTED = """
-r requirements_base.txt
-c ../limits/house.txt
./wheels/alpha-1.0-py3-none-any.whl
"""
NAME = "requirements_predict.txt"


@pytest.fixture
def house(clone: Path) -> Path:
    """A model whose requirements name its own files and one of the repository."""
    directory = add_model(clone, **{NAME: WANTED, "requirements_base.txt": "beta\n"})
    build_wheel(directory / "wheels", "alpha")
    (clone / "limits").mkdir()
    (clone / "limits/house.txt").write_text("beta<2\n")
    return directory


def stage(clone: Path, model: str, **variables: str) -> Completed:
    """Run stage.sh with an empty folder next to the clone."""
    context = clone.parent / f"context of {model}"
    context.mkdir()
    return run(clone / "engines/stage.sh", model, context, env=variables)


def found(context: Path, name: str = NAME) -> set[str]:
    """Return the paths of the requirements, relative to the context."""
    files = referenced(read([context / name]))
    return {os.path.relpath(path, context) for _, path in files}


def test_files_of_a_models_requirements_are_in_its_context(clone: Path, house: Path) -> None:
    output_of(stage(clone, "house"))
    package = "finance_income_prediction"
    names = (NAME, "requirements_base.txt", "wheels/alpha-1.0-py3-none-any.whl")
    expected = {NAME, "limits/house.txt", *(f"{package}/{name}" for name in names)}
    context = clone.parent / "context of house"
    assert found(context) == expected

    # The old behaviour: only the file itself was moved to the top.
    (context / NAME).write_bytes((house / NAME).read_bytes())
    with pytest.raises(RequirementError, match="requirements_base.txt: no such file"):
        found(context)


def test_files_of_all_models_requirements_are_in_the_combined_context(
    clone: Path, house: Path
) -> None:
    output_of(stage(clone, "all", MODEL_DIRS="house logisticRegression"))
    context = clone.parent / "context of all"
    package = "finance_income_prediction"
    assert found(context, "requirements.txt") == {
        "requirements.txt",
        f"{package}/requirements.txt",
        f"{package}/limits/house.txt",
        f"{package}/house/wheels/alpha-1.0-py3-none-any.whl",
    }
    lines = (context / package / "requirements.txt").read_text().splitlines()
    assert "beta" in lines
    # In the repository, the same file leads to the same files.
    output_of(run("python3", clone / "all/generate.py", clone / "all", "house"))
    assert "../limits/house.txt" in (clone / "all/requirements.txt").read_text()
    assert len(list(referenced(read([clone / "all/requirements.txt"])))) == 3


def test_a_link_to_a_file_of_the_repository_is_followed(clone: Path, house: Path) -> None:
    (clone / "limits/shared.txt").write_text("beta\n")
    (house / "requirements_base.txt").unlink()
    (house / "requirements_base.txt").symlink_to("../limits/shared.txt")
    output_of(stage(clone, "house"))
    context = clone.parent / "context of house"
    assert (context / "finance_income_prediction/requirements_base.txt").read_text() == "beta\n"
    assert "finance_income_prediction/requirements_base.txt" in found(context)


@pytest.mark.parametrize("model", ["house", "all"])
def test_a_file_outside_of_the_repository_is_refused_by_file_and_line(
    clone: Path, house: Path, model: str
) -> None:
    (clone.parent / "outside.txt").touch()
    (house / NAME).write_text("six\n-c ../../outside.txt\n")
    done = stage(clone, model, MODEL_DIRS="house")
    assert (done.returncode, done.stdout) == (78, "")
    assert "house/requirements_predict.txt, line 2: " in done.stderr
    assert "outside.txt is outside of the folder" in done.stderr
