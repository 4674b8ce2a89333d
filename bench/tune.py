"""tune: cross-validates settings of each model, the committed ones among them, on UCI's training part only.

Five folds of adult.data's rows; adult.test's, which `make quality` scores on, are not looked at. The setting with the
least mean log loss is chosen, unless the committed one is within two standard errors of it, fold by fold, or the gain
is too small to be worth a larger model.
"""

import os
import statistics
from collections.abc import Mapping
from typing import Any, NamedTuple

from joblib import Parallel, delayed
from measure import ROOT, report
from sklearn.base import clone
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import StratifiedKFold
from train_once import asked_for

from common_utils.train_utils import LABEL, data_file, fit, make_pipeline, read_table

TRAINING_ROWS = 32561  # adult.data's; adult.test's 16,281 follow them in the CSV
FOLDS = 5
WORTH = 0.005  # of the log loss
# What is tried: changes of the committed settings, and them unchanged.
CHANGES: dict[str, list[dict[str, Any]]] = {
    "logisticRegression": [{}, {"C": 1}, {"C": 5}, {"C": 60}, {"C": 200}],
    "randomForest": [
        {},
        {"max_depth": 10},
        {"max_depth": 18},
        {"max_depth": None},
        {"min_samples_leaf": 1},
        {"min_samples_leaf": 6},
        {"max_features": "sqrt"},
        {"max_features": 0.2},
        {"max_features": 0.6},
        {"n_estimators": 20},
        {"n_estimators": 60},
        {"n_estimators": 100},
        {"n_estimators": 300},
    ],
    "xgBoost": [
        {},
        {"n_estimators": 60},
        {"n_estimators": 200},
        {"learning_rate": 0.1, "n_estimators": 200},
        {"learning_rate": 0.1, "n_estimators": 200, "colsample_bytree": 0.5},
        {"max_depth": 4},
        {"max_depth": 8},
        {"colsample_bytree": 0.4},
        {"colsample_bytree": 1},
        {"subsample": 0.7},
    ],
}


class Scores(NamedTuple):
    """Accuracy and log loss by fold."""

    accuracy: list[float]
    log_loss: list[float]


def scored(
    estimator: Any, numbers: str, table: Any, inside: Any, outside: Any
) -> tuple[float, float]:
    """Accuracy and log loss on one fold of a model that was fitted on the others."""
    train, test = table.iloc[inside], table.iloc[outside]
    pipeline = make_pipeline(clone(estimator), numbers, train)
    fit(pipeline, train)
    scores = pipeline.predict_proba(test.drop(columns=LABEL))
    labels = pipeline.classes_[scores.argmax(axis=1)]
    return accuracy_score(test[LABEL], labels), log_loss(
        test[LABEL], scores, labels=pipeline.classes_
    )


def cross_validated(estimator: Any, numbers: str, table: Any) -> Scores:
    """The scores of an estimator, its folds side by side on all cores."""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(table, table[LABEL])
    pairs = Parallel(n_jobs=-1)(delayed(scored)(estimator, numbers, table, *fold) for fold in folds)
    return Scores(*map(list, zip(*pairs)))


def chosen(tried: Mapping[str, Scores], committed: str) -> str:
    """The setting with the least mean log loss, or `committed` if that is within two standard errors of it."""
    best = min(tried, key=lambda name: statistics.mean(tried[name].log_loss))
    more = [
        own - least
        for own, least in zip(tried[committed].log_loss, tried[best].log_loss, strict=True)
    ]
    noise, worth = (
        2 * statistics.stdev(more) / len(more) ** 0.5,
        WORTH * statistics.mean(tried[best].log_loss),
    )
    return best if statistics.mean(more) > max(noise, worth) else committed


def shown(values: list[float]) -> str:
    """Mean and spread over the folds."""
    return f"{statistics.mean(values):.4f} +- {statistics.stdev(values):.4f}"


def main() -> None:
    """Tries every setting of every model and says whether train.py has the chosen one."""
    os.chdir(ROOT)
    table = read_table(data_file("data/adult_income-prepped.csv"))[:TRAINING_ROWS]
    for directory, changes in CHANGES.items():
        estimator, numbers = asked_for(directory)
        tried: dict[str, Scores] = {}
        for change in changes:
            name = ", ".join(f"{key}={value}" for key, value in change.items()) or "as committed"
            tried[name] = cross_validated(clone(estimator).set_params(**change), numbers, table)
        lines = [
            {"setting": name, "accuracy": shown(one.accuracy), "log loss": shown(one.log_loss)}
            for name, one in tried.items()
        ]
        report(
            f"tune-{directory}",
            f"{directory}, {FOLDS} folds of {TRAINING_ROWS:,} rows",
            lines,
            tried,
        )
        choice = chosen(tried, "as committed")
        said = (
            "has the chosen settings" if choice == "as committed" else f"could do better: {choice}"
        )
        print(f"---> {directory}/train.py {said}", flush=True)


if __name__ == "__main__":
    main()
