"""Measure one training in a separate process, which bench/training.py starts.

Usage: python bench/train_once.py ours|least|document MODEL_DIR

It runs in a folder with data/table.csv and models/. It prints the seconds, the cores and the peak
memory as JSON. `ours` calls the train function with the train runner. `least` reads the CSV with
pandas and fits the estimator on a ready matrix. `document` uses the method of the document:
pandas.get_dummies, StandardScaler, default settings and a pickle.
"""

import contextlib
import importlib
import io
import json
import os
import pickle
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# The imports below are part of the measured start-up.
started = time.perf_counter()
import pandas as pd  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402
from sklearn.preprocessing import LabelEncoder, StandardScaler  # noqa: E402

from utils.dataset.read import read_dataset  # noqa: E402
from utils.training import form  # noqa: E402
from utils.training.encoding import family_of, fit_quietly, make_encoder  # noqa: E402
from utils.training.split import split  # noqa: E402

TABLE = "data/table.csv"
LABEL = "income"
Times = dict[str, float]


@contextlib.contextmanager
def timed(times: Times, name: str) -> Iterator[None]:
    """Add the seconds of a with statement to times[name]."""
    begun = time.perf_counter()
    yield
    times[name] = times.get(name, 0) + time.perf_counter() - begun


def training_arguments(directory: str) -> tuple[Any, str | None]:
    """Return the arguments `estimator` and `numbers` of a model's train.py.

    The estimator is not fitted.
    """
    module = importlib.import_module(f"{directory}.train")
    recorded: list[Any] = []

    def train_model(msg: Any, estimator: Any, description: str, numbers: str | None = None) -> None:
        recorded.extend((estimator, numbers))

    module.train_model = train_model
    module.train(None)
    estimator, numbers = recorded
    return estimator, numbers


def time_calls(module: Any, name: str, times: Times) -> None:
    """Replace a module's function by one that adds its seconds to times[name]."""
    function: Callable[..., Any] = getattr(module, name)

    def timed_function(*arguments: Any) -> Any:
        with timed(times, name):
            return function(*arguments)

    setattr(module, name, timed_function)


def ours(directory: str, times: Times) -> None:
    """Run the train function as an image does.

    Its export and comparison are also measured separately.
    """
    from runtime.train import main

    for name in ("to_onnx", "compare"):
        time_calls(form, name, times)
    os.environ.update(TRAIN="1", TRAIN_MODULE=f"{directory}.train", TRAIN_FUNCTION="train")
    os.environ["PAYLOAD"] = json.dumps({"$ref": TABLE, "model_name": "bench"})

    with timed(times, "train"), contextlib.redirect_stdout(io.StringIO()):
        exit_code = main()
    if exit_code:
        raise RuntimeError(f"{directory}: its train function failed")


def least(directory: str, times: Times) -> None:
    """Read the CSV and fit the estimator on the same matrix as `ours`.

    The steps in between are not measured.
    """
    estimator, numbers = training_arguments(directory)
    table, description = read_dataset(Path(TABLE))
    texts = {column.name: str for column in description.columns if column.kind == "category"}
    with timed(times, "train"):
        pd.read_csv(TABLE, dtype=texts, keep_default_na=False, low_memory=False)

    parts = split(table, description)
    encoder = make_encoder(family_of(estimator, numbers), description, parts)
    matrix = fit_quietly(encoder, parts.train).transform(parts.train)
    labels = parts.train[description.label.name].to_numpy()
    with timed(times, "train"):
        estimator.fit(matrix, labels)


def document(directory: str, times: Times) -> None:
    """Train with the method of the document, from the CSV to a pickle.

    The estimator has the default settings of its library.
    """
    estimator = type(training_arguments(directory)[0])()
    with timed(times, "train"):
        table = pd.read_csv(TABLE)
        labels = LabelEncoder().fit_transform(table.pop(LABEL))
        features = StandardScaler().fit_transform(pd.get_dummies(table))
        train, test, train_labels, test_labels = train_test_split(
            features, labels, test_size=0.3, random_state=0
        )
        estimator.fit(train, train_labels)
        estimator.score(test, test_labels)
        Path("models/document.pkl").write_bytes(pickle.dumps(estimator))


def peak_mb() -> float:
    """Return the peak memory of this process in MB."""
    status = Path("/proc/self/status")
    match = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
    if match:
        return int(match[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(kind: str, directory: str) -> None:
    """Train, and print the times, the cores in use and the peak memory in MB."""
    times: Times = {"start": time.perf_counter() - started}
    before = time.process_time()
    {"ours": ours, "least": least, "document": document}[kind](directory, times)
    times["cores"] = (time.process_time() - before) / times["train"]
    times["peak MB"] = peak_mb()
    print(json.dumps(times))


if __name__ == "__main__":
    main(*sys.argv[1:])
