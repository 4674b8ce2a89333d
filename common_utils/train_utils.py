"""Train the models of this project.

Training reads and splits the table, fits encoder and estimator, scores the result and writes the
model file.
"""

import errno
import hashlib
import importlib.metadata
import os
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, OneHotEncoder

from utils.encode_decode import model_path, pickle_model
from utils.errors import ModelFileError, TrainingError
from utils.forms.onnx import to_onnx
from utils.model import TOLERANCE, Model
from utils.signing import hmac_keys
from utils.table_encoder import FLOAT32_MAX, TableEncoder

LABEL = "income"
# The features are in the table's order. A row that a client sends as a list has the same order.
COLUMNS = {
    "age": "number",
    "workclass": "category",
    "fnlwgt": "number",
    "education": "category",
    "educational-num": "number",
    "marital-status": "category",
    "occupation": "category",
    "relationship": "category",
    "race": "category",
    "gender": "category",
    "capital-gain": "number",
    "capital-loss": "number",
    "hours-per-week": "number",
    "native-country": "category",
}
HELD_OUT = 0.3
SEED = 0
# The bins per number for a linear model were chosen by cross-validation on the training part.
QUANTILES = 32
DISTINCT_QUANTILES = 128
GOLDEN_PER_CLASS = 8
LIBRARIES = (
    "numpy",
    "onnx",
    "onnxruntime",
    "pandas",
    "scikit-learn",
    "skl2onnx",
    "xgboost",
    "xgboost-cpu",
)


def train_model(msg: Any, estimator: Any, description: str, numbers: str = "raw") -> dict[str, Any]:
    """Fit `estimator` on a table and write models/NAME.pkl.

    Returns the metrics on the held-out rows.
    `msg.payload` is {"$ref": "data/….csv", "model_name": NAME}. A stratified 30 % of the rows is
    held out. With "train_rows": N, the first N rows are the training part and all others are held
    out.
    With `numbers` "raw", the estimator gets numbers unchanged, which suits trees. With "binned",
    numbers are binned into quantiles, one column per bin, which suits linear models.
    Raises TrainingError for an invalid payload or table, and OSError if the disk fails. Raises
    ModelFileError for an invalid key, and if the answers of the ONNX form differ.
    """
    payload = checked_payload(msg.payload)
    if not hasattr(estimator, "predict_proba"):
        name = type(estimator).__name__
        raise TrainingError(
            f"{name} has no predict_proba. Expected a classifier that returns probabilities."
        )
    check_writable("models")
    # An invalid key is reported before the training.
    hmac_keys()
    print(f"---> Reading {payload['$ref']}", flush=True)
    table = read_table(data_file(payload["$ref"]))
    train, held_out = split(table, payload.get("train_rows"))
    print(f"---> Training {payload['model_name']} on {len(train):,} rows", flush=True)
    pipeline = make_pipeline(estimator, numbers, train)
    seconds = fit(pipeline, train)
    print(
        f"---> Fitted in {seconds:.1f} s; comparing ONNX on {len(held_out):,} held-out rows",
        flush=True,
    )
    contents = model_contents(payload, description, pipeline, train, held_out)
    metrics: dict[str, Any] = contents["metrics"]
    print(
        "---> "
        + ", ".join(f"{name} {metrics[name]:.4f}" for name in ("accuracy", "auc", "log_loss"))
    )
    print(f"---> Wrote {pickle_model(contents)}")
    return metrics


def checked_payload(payload: Any) -> dict[str, Any]:
    """Return `payload` if it is valid.

    Raises TrainingError for a missing or invalid key, and ModelFileError for an invalid model name.
    """
    expected = 'expected {"$ref": "data/….csv", "model_name": "…"}'
    if not isinstance(payload, dict):
        raise TrainingError(f"PAYLOAD: {expected}, found {payload!r}")
    for key in ("$ref", "model_name"):
        if not isinstance(payload.get(key), str):
            raise TrainingError(f"PAYLOAD: {expected}, found {key} {payload.get(key)!r}")
    rows = payload.get("train_rows")
    if rows is not None and (type(rows) is not int or rows < 1):
        raise TrainingError(f"PAYLOAD: train_rows: expected a whole number from 1, found {rows!r}")
    model_path(payload["model_name"])
    return payload


def check_writable(directory: str) -> None:
    """Raise TrainingError or OSError if the model file could not be written."""
    if not Path(directory).is_dir():
        problem = f"{directory}/: no such folder in {Path.cwd()}"
        raise TrainingError(f"{problem}. Mount or create it there.")
    if not os.access(directory, os.W_OK | os.X_OK):
        number = errno.EROFS if os.statvfs(directory).f_flag & os.ST_RDONLY else errno.EACCES
        raise OSError(number, os.strerror(number), directory)


def data_file(reference: str, directory: str = "data") -> Path:
    """Return the path of a data file inside `directory`.

    Raises TrainingError if the file is outside `directory` or does not exist.
    """
    path = Path(reference)
    root = Path(directory).resolve()
    try:
        inside = (
            not path.is_absolute() and "://" not in reference and root in path.resolve().parents
        )
        found = path.is_file()
    # The path is too long, has a loop of links or contains a null character.
    except (OSError, RuntimeError, ValueError) as error:
        raise TrainingError(f"$ref {reference[:60]!r} is not a valid path: {error}") from error
    if not inside:
        raise TrainingError(
            f"$ref {reference!r} is not inside {directory}/. "
            "Put the file there and use its path from there."
        )
    if not found:
        there = ", ".join(sorted(file.name for file in root.glob("*.csv"))) or "no CSV"
        raise TrainingError(f"{reference}: no such file; {directory}/ has {there}")
    return path


def read_table(path: Path) -> pd.DataFrame:
    """Return the features and the label in `path`.

    Raises TrainingError, which names the invalid column.
    """
    texts = {name: str for name, kind in COLUMNS.items() if kind == "category"}
    try:
        table = pd.read_csv(path, dtype=texts, keep_default_na=False, low_memory=False)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        # The parser raises the same exception for a lack of memory and for an invalid file.
        kind_of_error = MemoryError if "out of memory" in str(error) else TrainingError
        raise kind_of_error(f"{path}: expected a CSV with a header, found: {error}") from error
    missing = [name for name in (*COLUMNS, LABEL) if name not in table]
    unknown = [str(name) for name in table if name not in (*COLUMNS, LABEL)]
    if missing or unknown:
        raise TrainingError(
            f"{path}: missing columns: {', '.join(missing) or 'none'}; "
            f"unknown: {', '.join(unknown) or 'none'}. "
            "common_utils/train_utils.py lists the columns."
        )
    for name, kind in COLUMNS.items():
        if kind == "number":
            table[name] = numeric(path, table[name])
    bad = np.flatnonzero(table[LABEL].isna() | (table[LABEL].astype(str) == ""))
    if len(bad):
        raise TrainingError(
            f"{path}: column {LABEL!r}, line {line_of(path, bad[0])}: expected a class, found none"
        )
    classes = sorted(table[LABEL].unique().tolist())
    if len(classes) < 2:
        raise TrainingError(
            f"{path}: expected at least two classes of {LABEL!r}, "
            f"found {classes} in {len(table)} rows"
        )
    return table


def numeric(path: Path, column: pd.Series) -> pd.Series:
    """Return the column as float64.

    Raises TrainingError, which names the first value that is not a finite number.
    """
    numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    bad = np.flatnonzero(~(np.abs(numbers.to_numpy()) <= FLOAT32_MAX))
    if len(bad):
        found = column.tolist()[bad[0]]
        line = line_of(path, bad[0])
        raise TrainingError(
            f"{path}: column {column.name!r}, line {line}: expected a number, found {found!r}"
        )
    return numbers


def line_of(path: Path, row: int) -> int:
    """Return the line number of data row `row`, which is counted from 0.

    Blank lines are not rows, because pandas skips them.
    """
    return [
        number for number, line in enumerate(path.read_bytes().splitlines(), 1) if line.strip()
    ][row + 1]


def split(table: pd.DataFrame, train_rows: int | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the training part and the held-out part.

    The table is split before anything is fitted on it. Raises TrainingError if that is not
    possible.
    """
    if train_rows is not None:
        if train_rows >= len(table):
            raise TrainingError(
                f"train_rows {train_rows}: no held-out rows are left ({len(table)} rows). "
                "Choose fewer."
            )
        both = table.iloc[:train_rows], table.iloc[train_rows:]
        if any(part[LABEL].nunique() < table[LABEL].nunique() for part in both):
            raise TrainingError(
                f"train_rows {train_rows}: a class of {LABEL!r} is missing in the training or the "
                "held-out rows"
            )
        return both
    try:
        parts = train_test_split(
            table, test_size=HELD_OUT, random_state=SEED, stratify=table[LABEL]
        )
    except ValueError as error:
        raise TrainingError(f"{len(table)} rows can't be split by class: {error}") from error
    return parts[0], parts[1]


def make_pipeline(estimator: Any, numbers: str, features: pd.DataFrame) -> Pipeline:
    """Return a pipeline of encoder and estimator.

    Categories are encoded one-hot. `numbers` is "raw" or "binned". The number of bins depends on
    `features`. With raw numbers, the matrix is dense float32, which trees expect. With bins, it is
    sparse, which is faster for linear solvers.
    """
    if numbers not in ("raw", "binned"):
        raise TrainingError(f"numbers={numbers!r}: expected 'raw' or 'binned'")
    dense = numbers == "raw"
    steps = []
    for name, kind in COLUMNS.items():
        if kind == "category":
            dtype = np.float32 if dense else np.float64
            step = OneHotEncoder(handle_unknown="ignore", sparse_output=not dense, dtype=dtype)
        else:
            step = FunctionTransformer() if dense else bins(features[[name]])
        steps.append((name, step, [name]))
    encoder = ColumnTransformer(steps, sparse_threshold=0 if dense else 1)
    return Pipeline([("encoder", encoder), ("estimator", estimator)])


def bins(column: pd.DataFrame) -> Any:
    """Return the transformer that bins a number into quantiles.

    If more than half of the rows have the same value, it uses the quantiles of the distinct values.
    For example, most people have no capital gain. With quantiles of all rows, only a few bins would
    remain for the gains, and the logistic regression would lose a point of accuracy.
    """
    crowded = column.value_counts(normalize=True).iloc[0] > 0.5
    distinct = column.drop_duplicates()
    binning = KBinsDiscretizer(
        n_bins=min(DISTINCT_QUANTILES if crowded else QUANTILES, len(distinct)),
        quantile_method="averaged_inverted_cdf",
        subsample=None,
    )
    return FrozenEstimator(fit_quietly(binning, distinct)) if crowded else binning


def fit_quietly(estimator: Any, *data: Any) -> Any:
    """Fit without the warning that a number has fewer quantiles than bins.

    This is normal for a number with many equal values.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Bins whose width are too small", UserWarning)
        return estimator.fit(*data)


def fit(pipeline: Pipeline, train: pd.DataFrame) -> float:
    """Fit the pipeline and return the seconds that it took."""
    started = time.perf_counter()
    fit_quietly(pipeline, train.drop(columns=LABEL), train[LABEL].to_numpy())
    return time.perf_counter() - started


def plain_encoder(encoder: ColumnTransformer) -> dict[str, Any]:
    """Return the fitted encoder as plain data for utils.table_encoder."""
    columns: list[dict[str, Any]] = []
    for name, step, _ in encoder.transformers_[: len(COLUMNS)]:
        fitted = step.estimator if isinstance(step, FrozenEstimator) else step
        columns.append({"name": name})
        if isinstance(fitted, KBinsDiscretizer):
            columns[-1]["edges"] = fitted.bin_edges_[0][1:-1].tolist()
        elif isinstance(fitted, OneHotEncoder):
            columns[-1]["categories"] = fitted.categories_[0].tolist()
    return {"columns": columns}


def model_contents(
    payload: dict[str, Any],
    description: str,
    pipeline: Pipeline,
    train: pd.DataFrame,
    held_out: pd.DataFrame,
) -> dict[str, Any]:
    """Return the contents of the model file.

    Raises ModelFileError if the answers of the ONNX form differ from those of `pipeline`.
    """
    estimator = pipeline["estimator"]
    scaler = plain_encoder(pipeline["encoder"])
    contents = {
        **provenance(payload),
        "modelDescription": description,
        "schema": {
            "columns": [column_schema(train[name], kind) for name, kind in COLUMNS.items()],
            "classes": estimator.classes_.tolist(),
        },
        "scaler": scaler,
        "golden": {"instances": [], "predictions": [], "scores": []},
    }
    contents["model"] = to_onnx(estimator, TableEncoder(scaler).width)
    scores = pipeline.predict_proba(held_out.drop(columns=LABEL))
    model = Model(contents, ignore_unknown=True)
    compared = compare(model, held_out, estimator.classes_[scores.argmax(axis=1)], scores)
    contents["metrics"] = {**score(held_out[LABEL], scores, estimator.classes_), **compared}
    contents["test_acc"] = contents["metrics"]["accuracy"]
    contents["golden"] = golden_rows(Model(contents), held_out)
    return contents


def provenance(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the origin of a model: name, time, commit, source, libraries and data."""
    return {
        "modelName": payload["model_name"],
        "createdTime": created_time(),
        "commit": os.environ.get("GIT_COMMIT", "unknown"),
        "source_digest": os.environ.get("SOURCE_DIGEST", "unknown"),
        "libraries": library_versions(),
        "data": {
            "path": payload["$ref"],
            "sha256": hashlib.sha256(Path(payload["$ref"]).read_bytes()).hexdigest(),
        },
    }


def rows_of(table: pd.DataFrame) -> list[list[Any]]:
    """Return the rows of `table` in the form that a client sends.

    Each row is a list of the features, numbers and texts, in column order.
    """
    columns = [table[name].tolist() for name in COLUMNS]
    return [list(row) for row in zip(*columns)]


def compare(
    model: Model, held_out: pd.DataFrame, labels: np.ndarray, scores: np.ndarray
) -> dict[str, Any]:
    """Compare the answers of `model` with those of the estimator; return the counts.

    `labels` and `scores` are the answers of the estimator. If the label of a row differs but the
    two best scores are almost equal (TOLERANCE), the row is counted as a tie. Raises ModelFileError
    for any other difference.
    """
    predictions, found = model.run(model.encoder.encode(rows_of(held_out)))
    difference = float(np.abs(found - scores).max())
    best = np.sort(scores, axis=1)
    ties = best[:, -1] - best[:, -2] <= 2 * TOLERANCE
    differ = np.array(predictions) != labels
    if not difference <= TOLERANCE or (differ & ~ties).any():
        raise ModelFileError(
            f"model {model.name}: the ONNX model and the estimator disagree on "
            f"{int(differ.sum())} of {len(labels)} held-out rows "
            f"(scores differ by up to {difference:.2g}, allowed {TOLERANCE}). Nothing was written. "
            "Scale or bin numbers only for linear models; bound a forest's depth; "
            "or load the estimator in your own predict.py "
            "(docs/model-files.md, 'A model that cannot be converted')"
        )
    # Threads add numbers in a random order. Therefore the last digits differ between trainings.
    rounded = float(f"{difference:.2g}")
    return {
        "rows_compared": len(labels),
        "ties": int(differ.sum()),
        "largest_score_difference": rounded,
    }


def score(labels: pd.Series, scores: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    """Return accuracy, log loss and ROC AUC of `scores` (rows x classes).

    With two classes, the AUC is that of the second class.
    """
    auc = roc_auc_score(
        labels, scores[:, 1] if len(classes) == 2 else scores, multi_class="ovr", labels=classes
    )
    figures = {
        "accuracy": accuracy_score(labels, classes[scores.argmax(axis=1)]),
        "auc": auc,
        "log_loss": log_loss(labels, scores, labels=classes),
    }
    # Threads add numbers in a random order. Therefore equal trainings may differ after six digits.
    return {name: round(float(figure), 6) for name, figure in figures.items()}


def golden_rows(model: Model, held_out: pd.DataFrame) -> dict[str, Any]:
    """Return a few held-out rows of each class with the model's answers.

    The server compares its own answers with them before it is ready.
    """
    known = held_out
    for column in model.encoder.columns:
        if column.places is not None:
            known = known[known[column.name].isin(column.places)]
    rows = rows_of(known.groupby(LABEL).head(GOLDEN_PER_CLASS))
    answer = model.predict(rows)
    return {"instances": rows, "predictions": answer["predictions"], "scores": answer["scores"]}


def column_schema(column: pd.Series, kind: str) -> dict[str, Any]:
    """Return the name, the kind and the categories or range of a column.

    `column` has the values of the training part.
    """
    if kind == "category":
        return {"name": column.name, "kind": kind, "categories": sorted(column.unique().tolist())}
    return {
        "name": column.name,
        "kind": kind,
        "minimum": float(column.min()),
        "maximum": float(column.max()),
    }


def created_time() -> str:
    """Return SOURCE_DATE_EPOCH, or else the current time, in UTC.

    https://reproducible-builds.org/specs/source-date-epoch/ describes the variable.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch.strip("0123456789"):
        raise TrainingError(f"SOURCE_DATE_EPOCH: expected seconds since 1970, found {epoch!r}")
    seconds = float(epoch or time.time())
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def library_versions() -> dict[str, str]:
    """Return the versions of the installed LIBRARIES."""
    versions = {}
    for name in LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions
