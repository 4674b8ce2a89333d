"""Tables of different kinds: the served answers are those of the fitted pipeline.

`make test` has one estimator for each data set. `make test-tables` (TABLES=full) has all of them.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRegressor
from runtime.message import Message
from sklearn.base import clone, is_regressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from support.datasets import DATASETS, rows_as_json, write_dataset
from xgboost import XGBClassifier, XGBRegressor

from common_utils.train_utils import train_model
from utils.dataset.description import Description
from utils.dataset.read import read_dataset
from utils.encode_decode import init_model
from utils.model import Model
from utils.table.rows import InvalidInstances
from utils.training.pipeline import features_of, fit_pipeline
from utils.training.split import Parts, split

FULL = os.environ.get("TABLES") == "full"
# The test fits each estimator twice.
FOREST = {"n_estimators": 5, "max_depth": 6, "random_state": 0}
CLASSIFIERS = [
    RandomForestClassifier(**FOREST),
    LogisticRegression(max_iter=500),
    HistGradientBoostingClassifier(max_iter=5, random_state=0),
    XGBClassifier(n_estimators=5),
    ExtraTreesClassifier(**FOREST),
    DecisionTreeClassifier(max_depth=4, random_state=0),
    GradientBoostingClassifier(n_estimators=3, random_state=0),
    RidgeClassifier(),
    LGBMClassifier(n_estimators=5),
    CatBoostClassifier(iterations=5),
]
REGRESSORS = [
    RandomForestRegressor(**FOREST),
    Ridge(),
    HistGradientBoostingRegressor(max_iter=5, random_state=0),
    XGBRegressor(n_estimators=5),
    ExtraTreesRegressor(**FOREST),
    DecisionTreeRegressor(max_depth=4, random_state=0),
    GradientBoostingRegressor(n_estimators=3, random_state=0),
    LGBMRegressor(n_estimators=5),
    CatBoostRegressor(iterations=5),
]
NUMBERS_AS_LABELS = ("progress", "prices", "wide")


def pairs() -> list[tuple[str, Any]]:
    """Return pairs of a data set and an estimator.

    Without TABLES=full, each data set and each estimator occurs once at least. The table with
    missing values has one estimator of each family.
    """
    chosen = [] if FULL else [("gaps", CLASSIFIERS[place]) for place in (0, 1, 6, 8, 9)]
    for name in DATASETS:
        estimators = REGRESSORS if name in NUMBERS_AS_LABELS else CLASSIFIERS
        place = list(DATASETS).index(name) % len(estimators)
        chosen += [(name, each) for each in (estimators if FULL else [estimators[place]])]
    chosen += [] if FULL else [("prices", each) for each in REGRESSORS[-2:]]
    return chosen


def train(project: Path, name: str, estimator: Any) -> dict[str, Any]:
    """Train on a data set and return the contents of the model file."""
    path = write_dataset(project, name)
    reference = str(path.relative_to(project))
    train_model(Message(payload={"$ref": reference, "model_name": "m"}), clone(estimator), "A test")
    return init_model("m")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A train container's working directory."""
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parts_of(path: Path) -> tuple[Parts, Description]:
    """Return the parts that training made, and the description."""
    table, description = read_dataset(path)
    return split(table, description), description


@pytest.mark.parametrize(("name", "estimator"), pairs(), ids=lambda each: str(each).split("(")[0])
def test_a_model_answers_all_held_out_rows_as_the_pipeline(
    project: Path, name: str, estimator: Any
) -> None:
    contents = train(project, name, estimator)
    parts, description = parts_of(project / "data" / f"{name}.csv")
    pipeline = fit_pipeline(parts, description, clone(estimator))
    expected = pipeline.predict(features_of(parts.held_out, description)).ravel()

    rows = rows_as_json(project / "data" / f"{name}.csv", parts.held_out, description)
    model = Model(contents)
    found = model.predict(rows)
    if is_regressor(estimator):
        assert list(found) == ["predictions"]
        spread = parts.train["y"].std()
        np.testing.assert_allclose(found["predictions"], expected, atol=1e-4 * spread, rtol=1e-5)
        assert contents["metrics"]["r2"] > -0.5
    else:
        classes = sorted(set(parts.train["y"].tolist()))
        assert found["labels"] == classes
        assert found["predictions"] == [classes[number] for number in expected]
        assert {type(each) for each in found["predictions"]} == {type(classes[0])}
        most_common = parts.held_out["y"].value_counts(normalize=True).iloc[0]
        assert contents["metrics"]["accuracy"] >= most_common - 0.05

    # A single row uses a different code path than a batch.
    alone = [model.predict([row])["predictions"][0] for row in rows[:20]]
    if is_regressor(estimator):
        np.testing.assert_allclose(alone, found["predictions"][:20], rtol=1e-4)
    else:
        assert alone == found["predictions"][:20]
    assert model.replay_golden() > 0


@pytest.fixture
def gaps(project: Path) -> Model:
    """Return a forest on the table with missing values and all kinds but text."""
    return Model(train(project, "gaps", CLASSIFIERS[0]))


ROW = {"n": 0.5, "job": "a", "flag": True, "day": "31/01/2021"}
SAME_ROWS = [
    {**ROW, "flag": "True"},
    {**ROW, "day": "2021-01-31"},
    {**ROW, "day": "2021-01-31T02:00:00+02:00"},
    {**ROW, "job": " a "},
    {**ROW, "y": 1, "empty": None},
]
MISSING_ROWS = [{}, {"n": None, "job": None}, {"n": "", "job": "", "flag": "", "day": ""}]


@pytest.mark.parametrize("row", SAME_ROWS, ids=str)
def test_other_spellings_of_a_row_have_the_same_answer(gaps: Model, row: dict[str, Any]) -> None:
    expected = gaps.predict([ROW])
    assert gaps.predict([row]) == expected
    assert gaps.predict([row] * 20)["scores"] == expected["scores"] * 20
    assert gaps.predict([{**ROW, "job": "b", "n": -3}]) != expected, "the control"


@pytest.mark.parametrize("row", MISSING_ROWS, ids=str)
def test_missing_values_have_the_same_answer_in_all_spellings(
    gaps: Model, row: dict[str, Any]
) -> None:
    expected = gaps.predict([dict.fromkeys(ROW)])
    assert gaps.predict([row]) == expected
    assert gaps.predict([row] * 20)["scores"] == expected["scores"] * 20


BAD_VALUES = {
    "text for a number": ("n", "five", "a finite number or null, found 'five'"),
    "unknown category": ("job", "z", "one of 'a', 'b', 'c' and 1 more or null, found 'z'"),
    "number for a category": ("job", 1, "one of 'a', 'b', 'c' and 1 more or null, found 1"),
    "number for a boolean": ("flag", 1, "one of false, true or null, found 1"),
    "impossible date": (
        "day",
        "31/02/2021",
        "a date such as '31/12/2024' or '2024-12-31' or null, found '31/02/2021'",
    ),
    "number for a date": (
        "day",
        20210131,
        "a date such as '31/12/2024' or '2024-12-31' or null, found 20210131",
    ),
}


@pytest.mark.parametrize("kind", BAD_VALUES)
def test_a_bad_value_is_rejected_by_row_column_and_value(gaps: Model, kind: str) -> None:
    name, value, message = BAD_VALUES[kind]
    rows = [ROW] * 30 + [{**ROW, name: value}]
    for instances, place in ((rows[-1:], 0), (rows, 30)):
        with pytest.raises(InvalidInstances) as caught:
            gaps.predict(instances)
        assert str(caught.value) == f"row {place}: column {name!r}: expected {message}"
        assert caught.value.path == f"instances[{place}].{name}"


def test_an_unknown_category_has_the_mean_of_the_label(project: Path) -> None:
    model = Model(train(project, "cities", CLASSIFIERS[0]))
    answers = [model.predict([[city, 0.0]])["scores"] for city in ("nowhere", "city 9999")]
    assert answers[0] == answers[1]
    known = [model.predict([[f"city {i}", 0.0]])["scores"] for i in range(1, 9)]
    assert any(scores != answers[0] for scores in known), "the control"


def test_codes_may_be_numbers_or_texts(project: Path) -> None:
    model = Model(train(project, "codes", CLASSIFIERS[0]))
    answers = [model.predict([[code, 0.0]]) for code in (2, "2", 2.0, 3)]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0] != answers[3], "the control"
    for invalid in (2.5, True, [2]):
        with pytest.raises(InvalidInstances, match="expected a whole number such as 1, 2, 3"):
            model.predict([[invalid, 0.0]])


def test_a_column_without_missing_values_rejects_null(project: Path) -> None:
    model = Model(train(project, "flowers", CLASSIFIERS[0]))
    row: list[Any] = [5.1, 3.5, 1.4, 0.2]
    assert model.predict([row])["predictions"] == ["setosa"]
    with pytest.raises(InvalidInstances, match="expected a finite number, found null"):
        model.predict([[*row[:3], None]])
