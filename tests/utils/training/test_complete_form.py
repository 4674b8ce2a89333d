"""Test that the complete form gives the answers of the fitted pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runtime.message import Message
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.compose import make_column_selector as of_type
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor, NearestCentroid
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from support.datasets import write_dataset

from common_utils.train_utils import train_model
from utils.dataset.read import read_dataset
from utils.encode_decode import init_model
from utils.model import Model
from utils.table.frame import FrameEncoder
from utils.table.rows import InvalidInstances
from utils.training import form, record
from utils.training.own import takes_table
from utils.training.pipeline import features_of, fit_pipeline
from utils.training.split import split


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A train container's working directory."""
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(project: Path, name: str, estimator: Any) -> dict[str, Any]:
    """Train on a data set and return the contents of the model file."""
    path = write_dataset(project, name)
    payload = {"$ref": str(path.relative_to(project)), "model_name": "m"}
    train_model(Message(payload=payload), clone(estimator), "A test")
    return init_model("m")


def check_answers(project: Path, name: str, estimator: Any) -> dict[str, Any]:
    """Train, and compare the answers for all held-out rows with those of the pipeline.

    Returns the contents of the model file.
    """
    contents = train(project, name, estimator)
    table, description = read_dataset(project / "data" / f"{name}.csv")
    parts = split(table, description)
    pipeline = fit_pipeline(parts, description, clone(estimator))
    features = features_of(parts.held_out, description)
    model = Model(contents, trusted=[f"{__name__}.is_long_job"])
    found = model.predict(record.rows_of(parts.held_out, description.columns))
    expected = pipeline.predict(features).ravel()
    classes = contents["schema"]["classes"]
    predictions = [classes[number] for number in expected] if classes else expected.tolist()
    assert found["predictions"] == predictions
    assert ("scores" in found) == hasattr(pipeline, "predict_proba")
    if "scores" in found:
        np.testing.assert_array_equal(found["scores"], pipeline.predict_proba(features))
    return contents


CASES = [
    ("gaps", NearestCentroid()),
    ("flowers", RandomForestClassifier(3, random_state=0)),
    ("tumours", LogisticRegression(max_iter=500)),
    ("wines", RidgeClassifier()),
    ("customers", LinearSVC()),
    ("complaints", HistGradientBoostingClassifier(max_iter=3)),
    ("codes", GaussianNB()),
    ("progress", KNeighborsRegressor()),
    ("prices", Ridge()),
    ("gaps", TunedThresholdClassifierCV(GaussianNB(), random_state=0)),
    ("gaps", GridSearchCV(NearestCentroid(), {"shrink_threshold": [None, 0.1]})),
]


@pytest.mark.parametrize(("name", "estimator"), CASES, ids=str)
def test_the_complete_form_answers_as_the_pipeline(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str, estimator: Any
) -> None:
    monkeypatch.setattr(form, "to_onnx", lambda *_: b"no graph")
    contents = check_answers(project, name, estimator)
    assert contents["engine"] == "skops"
    assert Model(contents).replay_golden() > 0


def is_long_job(table: pd.DataFrame) -> np.ndarray:
    """Return two numbers of the columns `n` and `flag`."""
    return np.column_stack([table["n"].fillna(0.0) ** 2, table["flag"].eq(True)])


def columns() -> ColumnTransformer:
    """Return an encoder of the table `gaps`."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return ColumnTransformer(
        [
            ("numbers", numbers, ["n"]),
            ("jobs", OneHotEncoder(handle_unknown="ignore"), ["job"]),
            ("flags", OneHotEncoder(), ["flag"]),
        ]
    )


def selected() -> Pipeline:
    """Return a pipeline of an encoder, PCA and a linear model."""
    steps = [columns(), PCA(4), SelectKBest(k=2), LogisticRegression()]
    return make_pipeline(*steps)


OWN = [
    ("gaps", selected()),
    (
        "gaps",
        make_pipeline(
            FeatureUnion([("own", FunctionTransformer(is_long_job)), ("columns", columns())]),
            RandomForestClassifier(3, random_state=0),
        ),
    ),
    (
        "gaps",
        StackingClassifier(
            [("linear", selected()), ("bayes", make_pipeline(columns(), GaussianNB()))], cv=3
        ),
    ),
    ("gaps", TunedThresholdClassifierCV(CalibratedClassifierCV(selected(), cv=3), cv=3)),
    ("gaps", GridSearchCV(selected(), {"selectkbest__k": [1, 3]}, cv=3)),
    (
        "progress",
        TransformedTargetRegressor(
            make_pipeline(
                ColumnTransformer([("all", StandardScaler(), of_type(dtype_include=float))]),
                Ridge(),
            ),
            func=np.log1p,
            inverse_func=np.expm1,
        ),
    ),
]


@pytest.mark.parametrize(("name", "estimator"), OWN, ids=range(len(OWN)))
def test_a_pipeline_of_an_authors_own_answers_as_fitted(
    project: Path, name: str, estimator: Any
) -> None:
    contents = check_answers(project, name, estimator)
    assert contents["engine"] == "skops"


def test_a_tuned_threshold_decides_instead_of_the_greatest_score(project: Path) -> None:
    """The control of TunedThresholdClassifierCV: its threshold is not a half."""
    contents = check_answers(project, *OWN[3])
    table, description = read_dataset(project / "data" / "gaps.csv")
    rows = record.rows_of(split(table, description).held_out, description.columns)
    found = Model(contents).predict(rows)
    greatest = [contents["schema"]["classes"][place] for place in np.argmax(found["scores"], 1)]
    assert found["predictions"] != greatest


def test_a_pipeline_without_columns_gets_the_default_encoding() -> None:
    assert takes_table(selected())
    for estimator in (
        GaussianNB(),
        make_pipeline(StandardScaler(), GaussianNB()),
        make_pipeline(FeatureUnion([("pca", PCA(2))]), GaussianNB()),
        CalibratedClassifierCV(GaussianNB()),
        StackingClassifier([("a", GaussianNB()), ("b", LogisticRegression())]),
    ):
        assert not takes_table(estimator)


ROW = {"n": 0.5, "job": "a", "flag": True, "day": "31/01/2021"}
BAD_ROWS = {
    "n": ("five", "expected a finite number or null, found 'five'"),
    "flag": (2, "expected one of false, true or null, found 2"),
    "day": ("31/02/2021", "expected a date such as '31/12/2024' or '2024-12-31' or null"),
    "more": (1, "is not a column of this model (n, job, flag, day)"),
}


@pytest.mark.parametrize("column", BAD_ROWS)
def test_own_pipelines_reject_a_bad_value_by_row_and_column(project: Path, column: str) -> None:
    model = Model(train(project, "gaps", selected()))
    value, expected = BAD_ROWS[column]
    with pytest.raises(InvalidInstances) as caught:
        model.predict([ROW, {**ROW, column: value}])
    message = str(caught.value)
    assert message.startswith(f"row 1: column {column!r}")
    assert expected in message
    assert len(model.predict([ROW, {**ROW, "job": "unknown"}])["predictions"]) == 2


def test_own_pipelines_reject_an_unknown_category_that_they_do_not_take(project: Path) -> None:
    strict = selected().set_params(columntransformer__jobs__handle_unknown="error")
    model = Model(train(project, "gaps", strict))
    expected = "^row 0: column 'job': expected one of 'a', 'b', 'c' and 1 more or null, found 'z'"
    with pytest.raises(InvalidInstances, match=expected):
        model.predict([{**ROW, "job": "z"}])


def test_rows_become_the_table_on_which_the_pipeline_was_fitted(project: Path) -> None:
    for name in ("gaps", "codes", "complaints", "customers"):
        contents = train(project, name, GaussianNB())
        table, description = read_dataset(project / "data" / f"{name}.csv")
        held_out = split(table, description).held_out
        kinds = [column["kind"] for column in contents["schema"]["columns"]]
        encoder = FrameEncoder(contents["scaler"], kinds, ignore_unknown=True)
        found = encoder.encode(record.rows_of(held_out, description.columns))
        expected = features_of(held_out, description).reset_index(drop=True)
        pd.testing.assert_frame_equal(found, expected)


def test_training_twice_gives_the_same_bytes_in_the_complete_form(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    estimator = make_pipeline(columns(), RandomForestClassifier(3, random_state=0))
    first, second = (train(project, "gaps", estimator) for _ in range(2))
    assert first["digest"] == second["digest"]
    other = train(project, "gaps", estimator.set_params(randomforestclassifier__random_state=1))
    assert other["digest"] != first["digest"], "the control"
