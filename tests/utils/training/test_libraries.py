"""Test the options of LightGBM, CatBoost and xgboost."""

from pathlib import Path
from typing import Any

import pytest
from catboost import CatBoostClassifier
from lightgbm import LGBMClassifier
from runtime.message import Message
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
from support.datasets import write_dataset
from xgboost import XGBClassifier
from xgboost.callback import EarlyStopping

from common_utils.train_utils import train_model
from utils.training.libraries import stops_early, with_options

ROUNDS = 300


def train(project: Path, estimator: Any) -> bytes:
    """Train on the table with missing values and return the model file."""
    reference = str(write_dataset(project, "gaps").relative_to(project))
    train_model(Message(payload={"$ref": reference, "model_name": "m"}), estimator, "A test")
    return (project / "models" / "m.pkl").read_bytes()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A train container's working directory."""
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    return tmp_path


def test_options_of_an_author_are_kept() -> None:
    author = LGBMClassifier(verbosity=1, force_row_wise=True)
    found = with_options(author).get_params()
    assert (found["verbosity"], found["force_row_wise"], found["deterministic"]) == (1, True, True)
    assert "verbose" not in found
    assert "force_col_wise" not in found
    assert "deterministic" not in author.get_params(), "the author's estimator is not changed"
    assert with_options(CatBoostClassifier(logging_level="Info")).get_params() == {
        "logging_level": "Info",
        "allow_writing_files": False,
    }


def test_members_get_the_options_of_their_library() -> None:
    voting = with_options(VotingClassifier([("cat", CatBoostClassifier())]))
    assert voting.get_params()["cat__verbose"] is False


STOPPING = [
    LGBMClassifier(n_estimators=ROUNDS, early_stopping_rounds=3),
    CatBoostClassifier(iterations=ROUNDS, early_stopping_rounds=3),
    CatBoostClassifier(iterations=ROUNDS, od_wait=3),
    XGBClassifier(n_estimators=ROUNDS, early_stopping_rounds=3),
    XGBClassifier(n_estimators=ROUNDS, callbacks=[EarlyStopping(rounds=3)]),
]


@pytest.mark.parametrize("estimator", STOPPING, ids=lambda each: type(each).__name__)
def test_training_stops_early_quietly_and_gives_the_same_bytes_twice(
    project: Path, estimator: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    assert stops_early(estimator)
    first = train(project, clone(estimator))
    output = capfd.readouterr().out
    assert len(output.splitlines()) < 10, output
    assert sorted(path.name for path in project.iterdir()) == ["data", "models"]
    assert train(project, clone(estimator)) == first
    every_round = clone(estimator).set_params(
        **{
            name: None
            for name in ("early_stopping_rounds", "od_wait", "callbacks")
            if name in estimator.get_params()
        }
    )
    assert len(train(project, every_round)) > 1.5 * len(first), "the control"


CATEGORIES = [
    LGBMClassifier(n_estimators=3, categorical_feature=["job"]),
    CatBoostClassifier(iterations=3, cat_features=["job"]),
    HistGradientBoostingClassifier(max_iter=3, categorical_features=["job"]),
]


@pytest.mark.parametrize("estimator", CATEGORIES, ids=lambda each: type(each).__name__)
def test_categories_of_the_table_are_ignored_with_a_notice(
    project: Path, estimator: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    train(project, estimator)
    output = capfd.readouterr().out
    assert "is ignored, because the default encoding encodes categories" in output
    assert "Form: onnx (fast)" in output
