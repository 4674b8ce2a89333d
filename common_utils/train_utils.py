"""Train the models of this project.

Training reads and splits the data set, fits encoder and estimator, scores the result and writes the
model file. utils/training has the steps.
"""

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from utils.dataset.description import Description
from utils.dataset.instances import rows_of
from utils.dataset.read import read_dataset, read_test
from utils.encode_decode import model_path, pickle_model
from utils.errors import TrainingError
from utils.forms.onnx import without_converter
from utils.forms.skops import required_libraries, untrusted_types
from utils.model import Model
from utils.signing import hmac_keys
from utils.training import record
from utils.training.form import (
    OWN,
    SAVED,
    Functions,
    choose_form,
    describe_form,
    report_requirements,
    report_types,
)
from utils.training.own import plain_columns, takes_table
from utils.training.pipeline import explained, features_of, fit_pipeline
from utils.training.plain import plain_encoder
from utils.training.score import score, score_groups
from utils.training.size import report_size
from utils.training.split import Parts, split
from utils.training.verify import Answers, answers_of, check_finite
from utils.training.verify import load as load_model

DATA_FILES = (".csv", ".parquet")


def train_model(
    msg: Any,
    estimator: Any,
    description: str,
    numbers: str | None = None,
    save: Callable[[Any], bytes] | None = None,
    load: Callable[[bytes], Any] | None = None,
) -> dict[str, Any]:
    """Fit `estimator` on a data set and write models/NAME.pkl.

    Returns the metrics on the held-out rows.
    `msg.payload` is {"$ref": "data/….csv", "model_name": NAME}. The description of the data set,
    data/….toml, has the label, the columns and the split. With "train_rows": N, the first N rows
    are the training part and all others are held out. `description` is the text in the model file.
    The encoding depends on the family of the estimator. `numbers` replaces the encoding of numbers:
    "raw" leaves them unchanged, and "binned" has a column for each of their quantiles.
    If no form takes the estimator, `save` returns the fitted pipeline as bytes, and `load` returns
    it from them.
    Raises TrainingError for an invalid payload or table, and OSError if the disk fails. Raises
    ModelFileError for an invalid key, and if no form gives the answers of the estimator.
    """
    payload = checked_payload(msg.payload)
    check_writable("models")
    # An invalid key is reported before the training.
    hmac_keys()
    print(f"---> Reading {payload['$ref']}", flush=True)
    path = data_file(payload["$ref"])
    table, dataset = read_dataset(path)
    for notice in dataset.notices:
        print(f"     {notice}", flush=True)
    test = read_test(path, dataset) if dataset.test else None
    parts = split(table, dataset, payload.get("train_rows"), test)
    contents = {**record.provenance(payload), "modelDescription": description}
    functions = Functions(save, load) if save and load else None
    name = contents["modelName"]
    trained, reason = train_parts(name, parts, dataset, estimator, numbers, functions)
    contents |= trained
    model, seconds = load_as_server(contents, load)
    metrics: dict[str, Any] = contents["metrics"]
    print(f"---> {format_metrics(metrics)}")
    for line in group_lines(contents.get("groups", {})):
        print(f"     {line}")
    written = pickle_model(contents)
    print(f"---> Wrote {written}")
    print(f"---> {describe_form(model, reason)}")
    report_size(written.stat().st_size, seconds, estimator)
    if model.engine == "skops":
        report_types(model.name, untrusted_types(contents["model"]))
    return metrics


def train_parts(
    name: str,
    parts: Parts,
    dataset: Description,
    estimator: Any,
    numbers: str | None,
    functions: Functions | None,
) -> tuple[dict[str, Any], str]:
    """Fit the estimator, compare and score it; return its part of the model file.

    The second result is the reason for the complete form, or an empty text.
    """
    is_own = takes_table(estimator)
    module = os.environ.get("TRAIN_MODULE", "")
    known_reason = reason_before_fit(estimator, functions)
    if known_reason:
        engine = "own" if functions else "skops"
        print(f"     {known_reason}; it takes the complete form", flush=True)
        report_requirements(required_libraries(estimator, engine), module)
    form = "the complete form" if known_reason else "ONNX"
    print(f"---> Training {name} on {len(parts.train):,} rows", flush=True)
    pipeline, answers = fit_and_predict(parts, dataset, estimator, numbers, form)
    scaler = (
        plain_columns(pipeline, dataset, parts)
        if is_own
        else plain_encoder(pipeline["encoder"], dataset, parts)
    )
    contents: dict[str, Any] = {
        "modelName": name,
        "schema": record.schema(dataset, parts.train, answers.scores is not None),
        "scaler": scaler,
        "golden": {},
    }
    rows = rows_of(parts.held_out, dataset.columns)
    contents, reason = choose_form(contents, pipeline, known_reason, rows, answers, functions)
    if reason and not known_reason:
        report_requirements(contents["requires"], module)
    contents["metrics"] = {**score(parts, dataset, answers), **contents["metrics"]}
    if dataset.groups:
        contents["groups"] = score_groups(parts, dataset, answers)
    contents["test_acc"] = contents["metrics"].get("accuracy")
    model = load_model(contents, load_own=functions and functions.load)
    contents["golden"] = record.golden_rows(model, parts, dataset)
    return contents, reason


def fit_and_predict(
    parts: Parts, dataset: Description, estimator: Any, numbers: str | None, form: str
) -> tuple[Any, Answers]:
    """Return the fitted pipeline and its answers for the held-out rows."""
    started = time.perf_counter()
    pipeline = fit_pipeline(parts, dataset, estimator, numbers)
    seconds = time.perf_counter() - started
    print(
        f"---> Fitted in {seconds:.1f} s; "
        f"comparing {form} on {len(parts.held_out):,} held-out rows",
        flush=True,
    )
    with explained(estimator, "predict the held-out rows"):
        answers = answers_of(pipeline, features_of(parts.held_out, dataset))
    check_finite(answers, type(estimator).__name__)
    return pipeline, answers


def reason_before_fit(estimator: Any, functions: Functions | None) -> str:
    """Return why an estimator takes the complete form, or an empty text.

    An estimator whose answers differ in the fast form is not known yet.
    """
    if functions:
        return SAVED
    return OWN if takes_table(estimator) else without_converter(estimator)


def load_as_server(
    contents: dict[str, Any], load: Callable[[bytes], Any] | None
) -> tuple[Model, float]:
    """Return the checked model of a file, and the seconds that this takes a server."""
    started = time.perf_counter()
    model = load_model(contents, load_own=load)
    model.replay_golden()
    return model, time.perf_counter() - started


def format_metrics(metrics: dict[str, Any]) -> str:
    """Return the metrics as a text."""
    formats = {"accuracy": ".4f", "auc": ".4f", "log_loss": ".4f"}
    formats |= {"mae": ".4g", "rmse": ".4g", "r2": ".4f"}
    found = {name: format(metrics[name], form) for name, form in formats.items() if name in metrics}
    return ", ".join(f"{name} {text}" for name, text in found.items())


def group_lines(groups: dict[str, dict[str, dict[str, float]]]) -> Iterator[str]:
    """Yield a line with the metrics of each group."""
    for column, values in groups.items():
        for name, metrics in values.items():
            yield f"{column} = {name}: {metrics['rows']:,} rows, {format_metrics(metrics)}"


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
        expected = "expected a whole number of at least 1"
        raise TrainingError(f"PAYLOAD: train_rows: {expected}, found {rows!r}")
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
        files = sorted(file.name for file in root.glob("*") if file.suffix in DATA_FILES)
        there = ", ".join(files) or "no CSV"
        raise TrainingError(f"{reference}: no such file; {directory}/ has {there}")
    return path
