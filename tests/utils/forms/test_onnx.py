"""Test that the ONNX model of an estimator gives the estimator's answers.

Each estimator is fitted and compared on numbers, without and with missing values.
"""

import warnings
from typing import Any

import numpy as np
import onnxruntime
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn import ensemble
from sklearn.base import clone, is_classifier
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import (
    GammaRegressor,
    LogisticRegression,
    PoissonRegressor,
    TweedieRegressor,
)
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsOneClassifier
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import get_tags
from xgboost import XGBClassifier, XGBRegressor, XGBRFClassifier, XGBRFRegressor

from utils.errors import ModelFileError
from utils.forms.onnx import lightgbm, to_onnx
from utils.training.libraries import library_of, with_options

ROWS = 900
TRAIN = 600
WIDTH = 5
SMALL: dict[str, Any] = {"n_estimators": 8, "random_state": 0, "n_jobs": 1}
TREE = {"max_depth": 4, "random_state": 0}

# The label of each option: two classes, three classes, or a positive number.
TWO: list[Any] = [
    XGBClassifier(**SMALL, num_parallel_tree=3),
    XGBClassifier(**SMALL, objective="multi:softprob", num_class=2),
    XGBClassifier(**SMALL, booster="gblinear"),
    XGBClassifier(**SMALL, booster="dart", rate_drop=0.5),
    XGBClassifier(**SMALL, objective="binary:hinge"),
    XGBClassifier(**SMALL, objective="reg:logistic"),
    XGBClassifier(**SMALL, base_score=0.3),
    XGBClassifier(**SMALL, missing=1.0),
    XGBClassifier(**SMALL, min_child_weight=1e6),
    XGBRFClassifier(**SMALL),
    LGBMClassifier(**SMALL),
    LGBMClassifier(**SMALL, boosting_type="rf", bagging_freq=1, bagging_fraction=0.7),
    LGBMClassifier(**SMALL, boosting_type="dart"),
    LGBMClassifier(**SMALL, objective="cross_entropy"),
    LGBMClassifier(**SMALL, sigmoid=2.0),
    LGBMClassifier(**SMALL, categorical_feature=[2]),
    CatBoostClassifier(iterations=8),
    CatBoostClassifier(iterations=8, boost_from_average=True),
    LinearDiscriminantAnalysis(),
    ensemble.HistGradientBoostingClassifier(max_iter=5),
    ensemble.GradientBoostingClassifier(n_estimators=3, loss="exponential"),
    GridSearchCV(DecisionTreeClassifier(**TREE), {"max_depth": [2, 3]}),
]
THREE: list[Any] = [
    XGBClassifier(**SMALL),
    XGBClassifier(**SMALL, num_parallel_tree=3),
    XGBClassifier(**SMALL, objective="multi:softmax"),
    XGBClassifier(**SMALL, booster="gblinear"),
    XGBClassifier(**SMALL, booster="dart"),
    XGBRFClassifier(**SMALL),
    LGBMClassifier(**SMALL),
    LGBMClassifier(**SMALL, objective="multiclassova"),
    CatBoostClassifier(iterations=8),
    CatBoostClassifier(iterations=8, loss_function="MultiClassOneVsAll"),
    ensemble.ExtraTreesClassifier(n_estimators=5, **TREE),
    ensemble.BaggingClassifier(DecisionTreeClassifier(**TREE), n_estimators=4, random_state=0),
    ensemble.VotingClassifier(
        [("a", DecisionTreeClassifier(**TREE)), ("b", LogisticRegression())], voting="soft"
    ),
    ensemble.StackingClassifier(
        [("a", DecisionTreeClassifier(**TREE)), ("b", ensemble.ExtraTreesClassifier(4))]
    ),
    OneVsOneClassifier(LinearSVC()),
    ensemble.StackingClassifier([("a", XGBClassifier(**SMALL)), ("b", LGBMClassifier(**SMALL))]),
]
NUMBER: list[Any] = [
    *(
        XGBRegressor(**SMALL, objective=objective)
        for objective in (
            "count:poisson",
            "reg:gamma",
            "reg:tweedie",
            "reg:squaredlogerror",
            "reg:pseudohubererror",
            "reg:absoluteerror",
        )
    ),
    XGBRegressor(**SMALL, num_parallel_tree=3),
    XGBRegressor(**SMALL, booster="gblinear"),
    XGBRegressor(**SMALL, booster="dart"),
    XGBRFRegressor(**SMALL),
    *(
        LGBMRegressor(**SMALL, objective=objective)
        for objective in ("regression", "fair", "mape", "poisson", "gamma", "tweedie", "quantile")
    ),
    LGBMRegressor(**SMALL, reg_sqrt=True),
    LGBMRegressor(**SMALL, boosting_type="rf", bagging_freq=1, bagging_fraction=0.7),
    CatBoostRegressor(iterations=8),
    CatBoostRegressor(iterations=8, loss_function="Poisson"),
    CatBoostRegressor(iterations=8, loss_function="Tweedie:variance_power=1.5"),
    ensemble.HistGradientBoostingRegressor(max_iter=5, loss="poisson"),
    ensemble.HistGradientBoostingRegressor(max_iter=5, loss="gamma"),
    ensemble.GradientBoostingRegressor(n_estimators=3, loss="huber"),
    ensemble.AdaBoostRegressor(n_estimators=3),
    ensemble.ExtraTreesRegressor(n_estimators=5, **TREE),
    ensemble.BaggingRegressor(DecisionTreeRegressor(**TREE), n_estimators=4, random_state=0),
    ensemble.VotingRegressor([("a", XGBRegressor(**SMALL)), ("b", LGBMRegressor(**SMALL))]),
    PoissonRegressor(),
    GammaRegressor(),
    TweedieRegressor(power=1.5),
]


def table(has_missing: bool) -> np.ndarray:
    """Return the features: numbers, and a column with the values 0 to 4."""
    random = np.random.default_rng(0)
    matrix = random.normal(size=(ROWS, WIDTH)).astype(np.float32)
    matrix[:, 2] = random.integers(0, 5, ROWS)
    if has_missing:
        matrix[random.random(matrix.shape) < 0.15] = np.nan
    return matrix


def label(kind: str) -> np.ndarray:
    """Return a label: two classes, three classes, or a positive number."""
    matrix = table(has_missing=False)
    random = np.random.default_rng(1)
    number = matrix[:, 0] + matrix[:, 2] / 2 + random.normal(size=ROWS) / 4
    if kind == "number":
        return np.exp(number.astype(np.float64) / 2)
    return np.digitize(number, [1.0] if kind == "two" else [0.5, 1.5])


def takes_missing(estimator: Any) -> bool:
    """Return whether an estimator accepts NaN."""
    return bool(get_tags(estimator).input_tags.allow_nan)


CASES = [
    pytest.param(kind, estimator, has_missing, id=f"{place} {type(estimator).__name__} {kind}")
    for kind, estimators in (("two", TWO), ("three", THREE), ("number", NUMBER))
    for place, estimator in enumerate(estimators)
    for has_missing in ((False, True) if takes_missing(estimator) else (False,))
]


def fitted(kind: str, estimator: Any, has_missing: bool) -> Any:
    """Return a copy of the estimator, fitted on the first rows."""
    found = with_options(clone(estimator))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return found.fit(table(has_missing)[:TRAIN], label(kind)[:TRAIN])


def run(content: bytes, matrix: np.ndarray) -> list[np.ndarray]:
    """Return the outputs of an ONNX model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(content, options)
    outputs: list[np.ndarray] = session.run(None, {session.get_inputs()[0].name: matrix})
    return outputs


@pytest.mark.parametrize(("kind", "estimator", "has_missing"), CASES)
def test_onnx_model_has_the_answers_of_the_estimator(
    kind: str, estimator: Any, has_missing: bool
) -> None:
    found = fitted(kind, estimator, has_missing)
    matrix = table(has_missing)[TRAIN:]
    outputs = run(to_onnx(found, WIDTH, has_missing), matrix)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = found.predict(matrix)
        scores = found.predict_proba(matrix) if hasattr(found, "predict_proba") else None

    if not is_classifier(estimator):
        np.testing.assert_allclose(outputs[0], expected.reshape(-1, 1), rtol=1e-5, atol=1e-5)
        return
    # xgboost has a column for each class with objective="multi:softprob" and two classes.
    expected = expected.argmax(axis=1) if expected.shape[1:] == (2,) else expected.ravel()
    assert outputs[0].dtype == np.int64
    assert outputs[0].tolist() == expected.astype(int).tolist()
    if scores is not None:
        np.testing.assert_allclose(outputs[1], scores, atol=1e-5)


NO_FORM = [
    (XGBClassifier(**SMALL, objective="rank:pairwise"), "objective 'rank:pairwise' has no ONNX"),
    (LGBMRegressor(**SMALL, linear_tree=True), "linear_tree=True has no ONNX form"),
    (LGBMClassifier(**SMALL, zero_as_missing=True), "zero_as_missing=True has no ONNX form"),
    (CatBoostRegressor(iterations=3, loss_function="RMSEWithUncertainty"), "several numbers"),
    (CatBoostClassifier(iterations=3, grow_policy="Depthwise"), "non symmetric trees"),
    (ensemble.HistGradientBoostingClassifier(categorical_features=[2]), "categorical_features"),
]


@pytest.mark.parametrize(("estimator", "reason"), NO_FORM, ids=lambda each: str(each)[:30])
def test_estimator_without_an_exact_onnx_model_is_rejected_with_a_short_reason(
    estimator: Any, reason: str
) -> None:
    found = fitted("two" if is_classifier(estimator) else "number", estimator, False)
    with pytest.raises(ModelFileError, match=reason) as caught:
        to_onnx(found, WIDTH)
    assert len(str(caught.value)) < 500


def test_converters_alone_give_other_answers() -> None:
    """The control: without our changes, the graphs of these options are wrong."""
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    rows = [("rows", FloatTensorType([None, WIDTH]))]
    for estimator in (THREE[1], THREE[5], THREE[7]):
        found = fitted("three", estimator, False)
        is_xgboost = library_of(found) == "xgboost"
        convert = convert_xgboost if is_xgboost else convert_lightgbm
        model = convert(found, "m", rows, target_opset=15, **({} if is_xgboost else {"zipmap": 0}))
        matrix = table(has_missing=False)[TRAIN:]
        scores = run(model.SerializeToString(), matrix)[1]
        assert np.abs(scores - found.predict_proba(matrix)).max() > 0.1, estimator


def test_lightgbm_threshold_is_not_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A threshold is between two float32 numbers that are neighbours."""
    step = np.spacing(np.float32(1))
    number = np.arange(ROWS) % 2
    column = np.float32(1) + step + step * number.astype(np.float32)
    matrix = np.column_stack([column] * WIDTH)
    found = LGBMClassifier(n_estimators=1, verbose=-1).fit(matrix, number)
    assert run(to_onnx(found, WIDTH), matrix)[0].tolist() == found.predict(matrix).tolist()

    monkeypatch.setattr(lightgbm, "in_float32", lambda line: line[0])
    rounded = run(to_onnx(found, WIDTH), matrix)
    assert rounded[0].tolist() != found.predict(matrix).tolist(), "the control"
