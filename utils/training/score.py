"""Compute the metrics of a model on the held-out rows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from utils.dataset.description import Description
from utils.training.labels import classes_of, target
from utils.training.split import Parts
from utils.training.verify import Answers

# A column of groups with more values than this has metrics for the most common ones only.
GROUPS = 50
MISSING = "missing"


def score(parts: Parts, description: Description, answers: Answers) -> dict[str, float]:
    """Return the metrics of the answers for the held-out rows."""
    label = description.label.name
    classes = classes_of(parts.train[label], description)
    return score_rows(target(parts.held_out[label], classes), answers, bool(classes))


def score_groups(
    parts: Parts, description: Description, answers: Answers
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the metrics of groups of held-out rows: column -> value -> metrics.

    The columns are the `groups` of the description. Each of the GROUPS most common values is a
    group, and so are the missing values. `rows` is the number of rows of a group.
    """
    label = description.label.name
    classes = classes_of(parts.train[label], description)
    truth = target(parts.held_out[label], classes)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for column in description.groups:
        names = group_names(parts.held_out[column])
        found[column] = {}
        for name, rows in Counter(names.tolist()).most_common(GROUPS):
            in_group = names == name
            figures = score_rows(truth[in_group], answers.of(in_group), bool(classes))
            found[column][name] = {"rows": rows, **figures}
    return found


def group_names(values: pd.Series) -> np.ndarray:
    """Return the text of each value of a column, and MISSING for a missing one."""
    return values.astype(object).where(values.notna(), MISSING).map(str).to_numpy()


def score_rows(truth: np.ndarray, answers: Answers, has_classes: bool) -> dict[str, float]:
    """Return the metrics of the answers for some rows, whose labels are `truth`."""
    if has_classes:
        return score_classes(truth, answers.predictions, answers.scores)
    return score_numbers(truth, answers.predictions)


def score_numbers(target: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """Return the mean absolute error, the root mean squared error and R²."""
    figures = {
        "mae": mean_absolute_error(target, predictions),
        "rmse": root_mean_squared_error(target, predictions),
    }
    if len(target) > 1:
        figures["r2"] = r2_score(target, predictions)
    return rounded(figures)


def score_classes(
    target: np.ndarray, predictions: np.ndarray, scores: np.ndarray | None
) -> dict[str, float]:
    """Return the accuracy and, with `scores` (rows x classes), ROC AUC and log loss.

    `target` and `predictions` are numbers of classes. With two classes, the AUC is that of the
    second class. The AUC is not defined if the held-out rows lack a class.
    """
    figures: dict[str, Any] = {"accuracy": accuracy_score(target, predictions)}
    if scores is not None:
        classes = np.arange(scores.shape[1])
        if len(np.unique(target)) == len(classes):
            of_second = scores[:, 1] if len(classes) == 2 else scores
            figures["auc"] = roc_auc_score(target, of_second, multi_class="ovr", labels=classes)
        # The scores of some objectives are not probabilities, for example those of xgboost's
        # "binary:logitraw".
        if scores.min() >= 0 and scores.max() <= 1:
            figures["log_loss"] = log_loss(target, scores, labels=classes)
    return rounded(figures)


def rounded(figures: dict[str, Any]) -> dict[str, float]:
    """Return figures with six digits.

    Threads add numbers in a random order. Therefore equal trainings may differ after six digits.
    """
    return {name: float(f"{figure:.6g}") for name, figure in figures.items()}
