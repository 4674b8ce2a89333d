"""Number the classes of a label, and translate what an author states about them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd

from utils.dataset.description import Description
from utils.errors import TrainingError


def classes_of(label: pd.Series, description: Description) -> list[Any]:
    """Return the sorted classes of a label, or an empty list for a regression.

    The classes have their types in JSON: texts, numbers, or false and true.
    """
    if description.task == "regression":
        return []
    classes = sorted(set(label.tolist()))
    if len(classes) < 2:
        raise TrainingError(
            f"expected at least two classes of {label.name!r}, found {classes} in {len(label)} rows"
        )
    return classes


def target(label: pd.Series, classes: list[Any]) -> np.ndarray:
    """Return what the estimator is fitted on.

    With `classes`, it is the number of each row's class, because xgboost and others accept only the
    labels 0 to n-1. Without classes, it is the label itself.
    """
    if not classes:
        return label.to_numpy(np.float64)
    numbers = {value: number for number, value in enumerate(classes)}
    return np.array([numbers[value] for value in label.tolist()], dtype=np.int64)


def with_class_numbers(estimator: Any, classes: list[Any]) -> Any:
    """Return the estimator with the numbers of the classes in `class_weight`.

    CatBoost has `class_weights`. An author writes the data's own classes. Raises TrainingError for
    a value that is not a class.
    """
    numbers = {value: number for number, value in enumerate(classes)}
    changed = {}
    for name, weights in estimator.get_params().items():
        is_weight = name.split("__")[-1] in ("class_weight", "class_weights")
        if not is_weight or not isinstance(weights, dict):
            continue
        unknown = [value for value in weights if value not in numbers]
        if unknown:
            raise TrainingError(
                f"{name}: {unknown[0]!r} is not a class of the label. "
                f"Expected some of {', '.join(map(repr, classes[:5]))}."
            )
        changed[name] = {numbers[value]: weight for value, weight in weights.items()}
    # scikit-learn's clone rejects a CatBoost estimator with class weights.
    return copy.deepcopy(estimator).set_params(**changed) if changed else estimator
