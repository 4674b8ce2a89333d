"""Cross-validate settings of each model, including the committed ones.

It uses only UCI's training part: five folds of the rows of adult.data. The rows of adult.test, on
which `make quality` scores, are not used. The setting with the least mean log loss is chosen. The
committed setting stays if it is within two standard errors of the best one, fold by fold, or if the
gain is too small for a larger model.
"""

import os
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from joblib import Parallel, delayed
from measure import ROOT, TABLE, report
from sklearn.base import clone
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import StratifiedKFold
from train_once import training_arguments

from utils.dataset.description import Description
from utils.dataset.read import read_dataset
from utils.training.pipeline import features_of, fit_pipeline
from utils.training.split import Parts
from utils.training.verify import answers_of

# adult.data has this number of rows. In the CSV, the 16,281 rows of adult.test follow them.
TRAINING_ROWS = 32561
FOLDS = 5
# A change must reduce the log loss by this part.
WORTH = 0.005
COMMITTED = "as committed"
# Changes of the committed settings. An empty one leaves them unchanged.
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
    """The accuracy and the log loss of each fold."""

    accuracy: list[float]
    log_loss: list[float]


def score_fold(
    parts: Parts, description: Description, estimator: Any, numbers: str | None
) -> tuple[float, float]:
    """Return accuracy and log loss of a model on one fold, the held-out part.

    The model is fitted on the other folds.
    """
    pipeline = fit_pipeline(parts, description, clone(estimator), numbers)
    scores = answers_of(pipeline, features_of(parts.held_out, description)).scores
    # The classes of the data are 0 and 1, which are also their numbers.
    labels = parts.held_out[description.label.name]
    return accuracy_score(labels, scores.argmax(axis=1)), log_loss(labels, scores)


def cross_validate(
    estimator: Any, numbers: str | None, table: Any, description: Description
) -> Scores:
    """Return the scores of an estimator; the folds run in parallel on all cores."""
    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    folds = splitter.split(table, table[description.label.name])
    calls = [
        delayed(score_fold)(
            Parts(table.iloc[inside], table.iloc[outside]), description, estimator, numbers
        )
        for inside, outside in folds
    ]
    accuracies, losses = zip(*Parallel(n_jobs=-1)(calls))
    return Scores(list(accuracies), list(losses))


def choose(tried: Mapping[str, Scores], committed: str) -> str:
    """Return the setting with the least mean log loss.

    The result is `committed` if the difference is within two standard errors or less than WORTH.
    """
    best = min(tried, key=lambda name: statistics.mean(tried[name].log_loss))
    pairs = zip(tried[committed].log_loss, tried[best].log_loss, strict=True)
    gains = [committed_loss - best_loss for committed_loss, best_loss in pairs]

    noise = 2 * statistics.stdev(gains) / len(gains) ** 0.5
    worth = WORTH * statistics.mean(tried[best].log_loss)
    return best if statistics.mean(gains) > max(noise, worth) else committed


def format_scores(values: list[float]) -> str:
    """Return the mean and the standard deviation over the folds as text."""
    return f"{statistics.mean(values):.4f} +- {statistics.stdev(values):.4f}"


def format_change(change: Mapping[str, Any]) -> str:
    """Return the name of a change in the table."""
    return ", ".join(f"{key}={value}" for key, value in change.items()) or COMMITTED


def try_changes(directory: str, table: Any, description: Description) -> dict[str, Scores]:
    """Return the scores of every change of a model's settings."""
    estimator, numbers = training_arguments(directory)
    tried = {}
    for change in CHANGES[directory]:
        changed = clone(estimator).set_params(**change)
        tried[format_change(change)] = cross_validate(changed, numbers, table, description)
    return tried


def line(setting: str, scores: Scores) -> dict[str, Any]:
    """Return one line of the table."""
    return {
        "setting": setting,
        "accuracy": format_scores(scores.accuracy),
        "log loss": format_scores(scores.log_loss),
    }


def main() -> None:
    """Try every setting of every model and print whether train.py has the best one."""
    os.chdir(ROOT)
    table, description = read_dataset(Path(TABLE))
    table = table[:TRAINING_ROWS]
    for directory in CHANGES:
        tried = try_changes(directory, table, description)
        lines = [line(setting, scores) for setting, scores in tried.items()]
        title = f"{directory}, {FOLDS} folds of {TRAINING_ROWS:,} rows"
        report(f"tune-{directory}", title, lines, tried)

        best = choose(tried, COMMITTED)
        if best == COMMITTED:
            print(f"---> {directory}/train.py has the chosen settings", flush=True)
        else:
            print(f"---> {directory}/train.py could do better: {best}", flush=True)


if __name__ == "__main__":
    main()
