"""bench-estimators: forms, different answers, the page of all estimators."""

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils import all_estimators
from support.commands import ROOT

sys.path.append(str(ROOT / "bench"))
import estimators as bench  # noqa: E402

from utils.training import verify  # noqa: E402

# An estimator of each library and each form.
QUICK = {
    "BaggingClassifier": "onnx",
    "GaussianNB": "onnx",
    "HistGradientBoostingRegressor": "onnx",
    "LinearDiscriminantAnalysis": "onnx",
    "NearestCentroid": "skops",
    "CCA": "-",
    "LGBMClassifier early_stopping_rounds=3": "onnx",
    "LGBMRegressor linear_tree=True": "skops",
    "CatBoostRegressor": "onnx",
    "XGBClassifier missing=-999.0": "onnx",
    "XGBClassifier objective='binary:logitraw'": "skops",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the tables."""
    bench.write_tables(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def estimators() -> dict[str, Any]:
    """All estimators by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return bench.estimators()


@pytest.mark.parametrize("name", QUICK)
def test_estimator_takes_its_form_and_answers_as_fitted(
    folder: Path, estimators: dict[str, Any], name: str
) -> None:
    for has_missing in (False, True):
        found = bench.result(bench.clone(estimators[name]), has_missing)
        assert (found.form, found.differing) == (QUICK[name], 0), found.reason
        assert (found.milliseconds > 0) == (found.form != "-")
        assert (found.reason == "") == (found.form == "onnx")


@pytest.mark.parametrize("estimator", [LogisticRegression(), Ridge()])
def test_different_answers_are_counted(
    folder: Path, estimator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the comparison sees a pipeline with other answers."""

    def others(pipeline: Any, features: Any) -> verify.Answers:
        answers = verify.answers_of(pipeline, features)
        predictions = np.roll(answers.predictions, 1)
        return verify.Answers(predictions, answers.scores)

    monkeypatch.setattr(bench, "answers_of", others)
    assert bench.result(estimator, False).differing > 0


def test_page_has_every_estimator_and_the_generated_banner(estimators: dict[str, Any]) -> None:
    text = bench.PAGE.read_text(encoding="utf-8")
    assert text.startswith(bench.BANNER)
    table = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert [line.split(" | ")[0].removeprefix("| ") for line in table] == list(estimators)
    for task in ("classifier", "regressor"):
        assert {name for name, _ in all_estimators(task)} <= set(estimators)
    assert "onnx, 0 ms" not in text
