"""engines/training_table.py: the results of training several models, as a table."""

import shutil
import sys
from pathlib import Path

import pytest
from support.commands import ROOT, output_of, run
from support.models import MODEL_DIRS, setting
from training_table import REASON_CHARACTERS, reason

from utils.encode_decode import pickle_model

METRICS = {"accuracy": 0.8661, "auc": 0.5, "log_loss": 1 / 3}
MAKE = "make[2]: *** [../model.mk:14: train] Error 78\n"
S2I = "docker-build.sh: s2i failed (exit code 1, output above). Image x was not changed.\n"


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        (f"warning: old\ntrain: no such column\n{MAKE}", "train: no such column"),
        (f"Traceback:\n  line 1\nValueError: bad\n{MAKE}", "ValueError: bad"),
        (f"check: warning: x\nassemble: setup.sh failed\nBuild failed\n{S2I}{MAKE}", "assemble: "),
        (f"fetch_uv.sh: no venv\nerror: exit code 69\n{S2I}{MAKE}", "fetch_uv.sh: no venv"),
        (
            f"x: line 58: y: No such file\nBuild failed\nERROR: An error z\n{S2I}{MAKE}",
            "x: line 58",
        ),
        (f"{S2I}{MAKE}", "make[2]: *** [../model.mk:14: train] Error 78"),
        ("gmake: *** [train] Killed\n", "gmake: *** [train] Killed"),
        ("../model.mk:14: recipe for target 'train' failed\nmake: x\n", "make: x"),
        ("  x No solution found\n  And because of y, it is unsatisfiable.\n\n", "And because of y"),
        ("", "no message"),
    ],
)
def test_reason_is_the_line_that_names_the_cause(errors: str, expected: str) -> None:
    assert reason(errors).startswith(expected)


def test_last_line_would_have_been_the_one_of_make() -> None:
    assert f"train: no such column\n{MAKE}".splitlines()[-1] == MAKE.strip()


def test_reason_has_a_bounded_length() -> None:
    found = reason(f"train: {'x' * 1_500_000}\n")
    assert len(found) == REASON_CHARACTERS
    assert found.endswith("xxx...")


def write_model(clone: Path, name: str, metrics: object) -> None:
    """Write a model file into a clone."""
    contents = {
        "model": b"x" * 2000,
        "scaler": {},
        "modelName": name,
        "schema": {},
        "golden": {},
        "metrics": metrics,
    }
    pickle_model(contents, clone / "models")


def write_result(results: Path, directory: str, code: str, errors: str = "") -> None:
    """Write the files of train-one.sh for one model."""
    (results / f"{directory}.errors").write_text(errors)
    if code:
        (results / f"{directory}.code").write_text(f"{code}\n")


def test_table_has_a_line_for_each_result(clone: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    names = ["failing", "metrics", "other_metrics", "no_file", "interrupted", "untried"]
    for name in names:
        (clone / name).mkdir()
        (clone / name / "train.py").touch()
        (clone / name / "Makefile").write_text(f"MODEL_NAME := house_{name}\n")
    (clone / "no_train").mkdir()

    write_result(results, "failing", "2", f"train: no such column\n{MAKE}")
    for name in names[1:4]:
        write_result(results, name, "0")
    write_result(results, "interrupted", "")
    write_model(clone, "house_metrics", METRICS)
    write_model(clone, "house_other_metrics", {"accuracy": 1})

    # It must run on a Python without packages.
    command = (sys.executable, "-S", "engines/training_table.py")
    table = output_of(run(*command, results, *names, "no_train", cwd=clone))
    assert table == (
        "     model               accuracy       auc  log_loss        KB\n"
        "     house_failing       failed: train: no such column\n"
        "     house_metrics         0.8661    0.5000    0.3333         2\n"
        "     house_other_metrics    1.0000         -         -         2\n"
        "     house_no_file       trained, without metrics: models/house_no_file.pkl: no such file."
        " Train the model first (make train).\n"
        "     house_interrupted   interrupted\n"
        "     house_untried       not tried\n"
        "     no_train            not tried: it has no train.py\n"
    )


def test_name_of_a_model_is_that_of_its_makefile(clone: Path, tmp_path: Path) -> None:
    shutil.copytree(clone / MODEL_DIRS[0], clone / "another")
    command = (sys.executable, "engines/training_table.py")
    table = output_of(run(*command, tmp_path, "another", cwd=clone))
    assert table.splitlines()[1].split()[0] == setting(MODEL_DIRS[0], "MODEL_NAME")


def test_train_one_keeps_the_exit_code_and_only_stderr(tmp_path: Path) -> None:
    program = "echo out; echo problem >&2; exit 3"
    command = (ROOT / "engines/train-one.sh", "house", "bash", "-c", program)
    done = run(*command, env={"TRAIN_RESULTS": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "problem\n")
    assert (tmp_path / "house.errors").read_text() == "problem\n"
    assert (tmp_path / "house.code").read_text() == "3\n"

    done = run(*command, env={"TRAIN_RESULTS": ""})
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "problem\n")


@pytest.mark.parametrize(
    ("script", "arguments"), [("train-all.sh", []), ("train-one.sh", []), ("train-one.sh", ["x"])]
)
def test_wrong_use_prints_the_usage(script: str, arguments: list[str]) -> None:
    done = run(ROOT / "engines" / script, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Usage:   {script}" in done.stderr
