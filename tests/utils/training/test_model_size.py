"""Test the report of large model files and the progress of comparisons."""

import sys
import time
from typing import Any

import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier

from utils.training import progress
from utils.training.progress import parts_of_rows, report_time
from utils.training.size import report_size

LARGE = 105_000_000
TREES = "a smaller max_depth or a larger min_samples_leaf or fewer members (n_estimators)"
REPORTS = [
    (
        ExtraTreesClassifier(),
        LARGE,
        5.04,
        "has 105 MB (more than 20) and takes 5.0 s to load and check (more than 2): "
        f"the depth of its trees has no limit. Use {TREES}.",
    ),
    (
        GridSearchCV(RandomForestClassifier(max_depth=20), {}),
        LARGE,
        0.1,
        f"has 105 MB (more than 20). Use {TREES}.",
    ),
    (
        KNeighborsClassifier(),
        100,
        3.0,
        "takes 3.0 s to load and check (more than 2): maybe it keeps the encoded training rows. "
        "Use another estimator, or fewer rows (train_rows).",
    ),
]


@pytest.mark.parametrize(("estimator", "size", "seconds", "text"), REPORTS, ids=lambda each: "")
def test_large_or_slow_file_is_reported_with_cause_and_cure(
    estimator: Any, size: int, seconds: float, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report_size(size, seconds, estimator)
    assert capsys.readouterr().out == f"     The model file {text}\n"


def test_small_file_is_not_reported(capsys: pytest.CaptureFixture[str]) -> None:
    report_size(20_000_000, 2.0, LogisticRegression())
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("is_terminal", [False, True])
def test_long_comparison_prints_its_progress(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = list(range(2500))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    assert [len(part) for part in parts_of_rows(rows)] == [1000, 1000, 500]
    assert capsys.readouterr().out == "", "the control: a short comparison prints nothing"

    monkeypatch.setattr(progress, "LOG_SECONDS", 0)
    monkeypatch.setattr(progress, "TERMINAL_SECONDS", 0)
    assert [row for part in parts_of_rows(rows) for row in part] == rows
    counts = [f"     compared {done} of 2,500" for done in ("1,000", "2,000", "2,500")]
    lines = [f"\r{each}" for each in counts] if is_terminal else [f"{each}\n" for each in counts]
    assert capsys.readouterr().out == "".join(lines) + ("\n" if is_terminal else "")


def test_long_conversion_prints_its_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with report_time("converting to ONNX"):
        pass
    assert capsys.readouterr().out == "", "the control: a short conversion prints nothing"
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.01)
    with report_time("converting to ONNX"):
        time.sleep(0.1)
    assert "     converting to ONNX for 0 s\n" in capsys.readouterr().out
