"""Make and fit the pipeline of encoder and estimator."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier, is_regressor
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from utils.dataset.description import Description
from utils.errors import TrainingError, reason
from utils.training.encoding import family_of, fit_quietly, make_encoder
from utils.training.labels import classes_of, target, with_class_numbers
from utils.training.libraries import (
    library_of,
    stops_early,
    with_options,
    without_categories,
)
from utils.training.own import fit_on_table, takes_table
from utils.training.split import SEED, Parts

# With early stopping, this part of the training part decides when to stop.
STOPPING_PART = 0.1
# An error that only their code raises needs no traceback.
KNOWN_CODE = {
    *("catboost", "_catboost", "joblib", "lightgbm", "numpy", "pandas", "scipy", "sklearn"),
    *("xgboost", "contextlib", "functools", "utils", "common_utils"),
}


def fit_pipeline(
    parts: Parts, description: Description, estimator: Any, numbers: str | None = None
) -> Any:
    """Return the pipeline of encoder and estimator, fitted on the training part.

    An estimator that takes the table itself is fitted without the encoder. The estimator is fitted
    on the numbers of the classes (utils/training/labels.py). `numbers` is the encoding of numbers
    that an author states. Raises TrainingError if the estimator does not fit the task.
    """
    check_task(estimator, description)
    train = parts.train
    label = train[description.label.name]
    classes = classes_of(label, description)
    numbered = with_class_numbers(with_options(estimator), classes)
    features = features_of(train, description)
    weights = train[description.weight].to_numpy() if description.weight else None
    if takes_table(estimator):
        if numbers is not None:
            raise TrainingError(f"numbers={numbers!r}: your pipeline encodes numbers. Remove it.")
        with explained(estimator, "be fitted"):
            return fit_on_table(numbered, features, target(label, classes), weights)
    encoder = make_encoder(family_of(estimator, numbers), description, parts)
    fitted = without_categories(numbered)
    pipeline = Pipeline([("encoder", encoder), ("estimator", fitted)])
    with explained(estimator, "be fitted"):
        fit(pipeline, features, target(label, classes), weights)
    return pipeline


def features_of(part: pd.DataFrame, description: Description) -> pd.DataFrame:
    """Return the columns of the features, in the order of the description."""
    return part[[column.name for column in description.columns]]


def check_task(estimator: Any, description: Description) -> None:
    """Raise TrainingError unless the estimator fits the task."""
    name = type(estimator).__name__
    if not hasattr(estimator, "fit"):
        raise TrainingError(f"{name} is not an estimator. Pass one to train_model.")
    label = description.label.name
    if description.task == "regression" and not is_regressor(estimator):
        raise TrainingError(
            f"{name} is not a regressor, but the label {label!r} is a number. "
            'Use a regressor, or write task = "classification" in the description.'
        )
    predicts_classes = is_classifier(estimator) or hasattr(estimator, "predict_proba")
    if description.task == "classification" and not predicts_classes:
        raise TrainingError(
            f"{name} is not a classifier, but the label {label!r} has classes. "
            'Use a classifier, or write task = "regression" in the description.'
        )


def fit(
    pipeline: Pipeline, features: pd.DataFrame, target: np.ndarray, weights: np.ndarray | None
) -> None:
    """Fit the pipeline, with early stopping if the estimator asks for it."""
    estimator = pipeline["estimator"]
    options = {}
    if weights is not None:
        if not has_fit_parameter(estimator, "sample_weight"):
            name = type(estimator).__name__
            raise TrainingError(f"{name} takes no sample weights. Remove `weight`.")
        options["sample_weight"] = weights
    if stops_early(estimator):
        fit_with_early_stopping(pipeline, features, target, options)
        return
    options = {f"estimator__{name}": value for name, value in options.items()}
    fit_quietly(pipeline, features, target, **options)


@contextmanager
def explained(estimator: Any, failed: str) -> Iterator[None]:
    """Turn an error of a library into a TrainingError with a short message.

    `failed` is what the estimator cannot do, for example "be fitted".
    An error in the code of an author keeps its traceback.
    """
    try:
        yield
    except (MemoryError, OSError, TrainingError):
        raise
    except Exception as error:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        names = {frame.f_globals.get("__name__", "").partition(".")[0] for frame in frames}
        if names - KNOWN_CODE:
            raise
        name = type(estimator).__name__
        raise TrainingError(
            f"{name} cannot {failed}: {reason(error)}. Change its settings, or use another one."
        ) from error


def fit_with_early_stopping(
    pipeline: Pipeline, features: pd.DataFrame, target: np.ndarray, options: dict[str, Any]
) -> None:
    """Fit the pipeline; a part of the training part decides when to stop."""
    is_stratified = target.dtype == np.int64 and np.bincount(target).min() > 1
    classes = target if is_stratified else None
    rows, stopping_rows = train_test_split(
        np.arange(len(target)), test_size=STOPPING_PART, random_state=SEED, stratify=classes
    )
    matrix = pipeline["encoder"].fit_transform(features.iloc[rows], target[rows])
    stopping_matrix = pipeline["encoder"].transform(features.iloc[stopping_rows])
    fitted_options: dict[str, Any] = {name: values[rows] for name, values in options.items()}
    fitted_options |= stopping_options(
        pipeline["estimator"], stopping_matrix, target[stopping_rows]
    )
    pipeline["estimator"].fit(matrix, target[rows], **fitted_options)


def stopping_options(estimator: Any, matrix: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """Return the arguments of `fit` for the rows that decide when to stop."""
    if has_fit_parameter(estimator, "eval_X"):
        return {"eval_X": matrix, "eval_y": target}
    options: dict[str, Any] = {"eval_set": [(matrix, target)]}
    # By default, xgboost prints a line for each round.
    if library_of(estimator) == "xgboost":
        options["verbose"] = False
    return options
