"""Compare the default encodings with a usual pipeline (bench-encodings).

Usage: python bench/encodings.py      (make bench-encodings)

The tables are those of tests/support/datasets.py, and a part of the example data. `one-hot` is a
usual pipeline: median, StandardScaler for linear models, one-hot categories without a limit, dates
and texts as categories. The figures are the accuracy, or R² for a label of numbers, of the held-out
rows.
"""

import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from measure import ROOT, TABLE, report
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

sys.path.insert(0, str(ROOT / "tests"))
from support.datasets import DATASETS, write_dataset  # noqa: E402

from utils.dataset.description import Description  # noqa: E402
from utils.dataset.read import read_dataset  # noqa: E402
from utils.training.labels import classes_of, target  # noqa: E402
from utils.training.pipeline import features_of, fit_pipeline  # noqa: E402
from utils.training.score import score  # noqa: E402
from utils.training.split import Parts, split  # noqa: E402
from utils.training.verify import answers_of  # noqa: E402

FOREST = {"n_estimators": 100, "min_samples_leaf": 3, "random_state": 0}
CLASSIFIERS = {
    "linear": LogisticRegression(max_iter=2000),
    "forest": RandomForestClassifier(**FOREST),
    "boosting": HistGradientBoostingClassifier(random_state=0),
}
REGRESSORS = {
    "linear": Ridge(),
    "forest": RandomForestRegressor(**FOREST),
    "boosting": HistGradientBoostingRegressor(random_state=0),
}
EXAMPLE_ROWS = 8000


def usual_pipeline(family: str, estimator: Any, parts: Parts, description: Description) -> Pipeline:
    """Return a usual pipeline, fitted on the training part."""
    numbers = [column.name for column in description.columns if column.kind == "number"]
    others = [column.name for column in description.columns if column.kind != "number"]
    scaler = [StandardScaler()] if family == "linear" else []
    encoder = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), *scaler), numbers),
            ("others", OneHotEncoder(handle_unknown="ignore", sparse_output=False), others),
        ]
    )
    label = parts.train[description.label.name]
    pipeline = Pipeline([("encoder", encoder), ("estimator", estimator)])
    features = texts_of(parts.train, description)
    return pipeline.fit(features, target(label, classes_of(label, description)))


def texts_of(part: Any, description: Description) -> Any:
    """Return the features, with texts for all but numbers."""
    features = features_of(part, description)
    kinds = {column.name: str for column in description.columns if column.kind != "number"}
    return features.astype(kinds)


def line(name: str, parts: Parts, description: Description) -> dict[str, Any]:
    """Return one line of the table."""
    estimators = CLASSIFIERS if description.task == "classification" else REGRESSORS
    metric = "accuracy" if description.task == "classification" else "r2"
    cells: dict[str, Any] = {"table": name, "metric": metric}
    for family, estimator in estimators.items():
        usual = usual_pipeline(family, estimator, parts, description)
        answers = answers_of(usual, texts_of(parts.held_out, description))
        cells[f"{family}, one-hot"] = f"{score(parts, description, answers)[metric]:.3f}"

        default = fit_pipeline(parts, description, estimator)
        answers = answers_of(default, features_of(parts.held_out, description))
        cells[f"{family}, default"] = f"{score(parts, description, answers)[metric]:.3f}"
    return cells


def main() -> None:
    """Measure all tables and report the results."""
    warnings.filterwarnings("ignore")
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name in DATASETS:
            table, description = read_dataset(write_dataset(Path(folder), name))
            lines.append(line(name, split(table, description), description))

    os.chdir(ROOT)
    table, description = read_dataset(Path(TABLE))
    table = table.sample(EXAMPLE_ROWS, random_state=0).reset_index(drop=True)
    lines.append(line("example data", split(table, description), description))
    report("encodings", "Default encodings, compared with a usual pipeline", lines, lines)


if __name__ == "__main__":
    main()
