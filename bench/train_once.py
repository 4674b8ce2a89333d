"""One training in a process of its own; bench/training.py starts it.

Usage: python bench/train_once.py ours|least|document MODEL_DIR

Runs in a folder with data/table.csv and models/. Prints seconds, cores and peak memory as JSON.
ours: the train function through the train runner. least: pandas reads the CSV, the estimator fits a
ready matrix. document: as a data scientist would, pandas.get_dummies, StandardScaler, default
settings, a pickle.
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

# The imports below are part of the start that is measured.
started = time.perf_counter()
import pandas as pd  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402
from sklearn.preprocessing import LabelEncoder, StandardScaler  # noqa: E402

from common_utils import train_utils  # noqa: E402

TABLE = "data/table.csv"
Times = dict[str, float]


@contextlib.contextmanager
def timed(times: Times, name: str) -> Iterator[None]:
    """Add the seconds spent inside to times[name]."""
    begun = time.perf_counter()
    yield
    times[name] = times.get(name, 0) + time.perf_counter() - begun


def asked_for(directory: str) -> tuple[Any, str]:
    """Return the unfitted estimator of a model's train.py, and the form of its numbers."""
    module = importlib.import_module(f"{directory}.train")
    asked: list[Any] = []

    def train_model(msg: Any, estimator: Any, description: str, numbers: str = "raw") -> None:
        asked.extend((estimator, numbers))

    module.train_model = train_model
    module.train(None)
    estimator, numbers = asked
    return estimator, numbers


def time_calls(module: Any, name: str, times: Times) -> None:
    """Make a module's function add its seconds to times[name]."""
    function: Callable[..., Any] = getattr(module, name)

    def timed_function(*arguments: Any) -> Any:
        with timed(times, name):
            return function(*arguments)

    setattr(module, name, timed_function)


def ours(directory: str, times: Times) -> None:
    """Run the train function as an image does; time its export and comparison separately too."""
    from runtime.train import main

    for name in ("to_onnx", "compare"):
        time_calls(train_utils, name, times)
    os.environ.update(TRAIN="1", TRAIN_MODULE=f"{directory}.train", TRAIN_FUNCTION="train")
    os.environ["PAYLOAD"] = json.dumps({"$ref": TABLE, "model_name": "bench"})

    with timed(times, "train"), contextlib.redirect_stdout(io.StringIO()):
        exit_code = main()
    if exit_code:
        raise RuntimeError(f"{directory}: its train function failed")


def least(directory: str, times: Times) -> None:
    """Read the CSV and fit the estimator on the matrix that ours fits; time nothing in between."""
    estimator, numbers = asked_for(directory)
    texts = {name: str for name, kind in train_utils.COLUMNS.items() if kind == "category"}
    with timed(times, "train"):
        pd.read_csv(TABLE, dtype=texts, keep_default_na=False, low_memory=False)

    train, _ = train_utils.split(train_utils.read_table(Path(TABLE)), None)
    encoder = train_utils.make_pipeline(estimator, numbers, train)["encoder"]
    matrix = train_utils.fit_quietly(encoder, train).transform(train)
    labels = train[train_utils.LABEL].to_numpy()
    with timed(times, "train"):
        estimator.fit(matrix, labels)


def document(directory: str, times: Times) -> None:
    """Go the document's way from the CSV to a pickle, with the library's default settings."""
    estimator = type(asked_for(directory)[0])()
    with timed(times, "train"):
        table = pd.read_csv(TABLE)
        labels = LabelEncoder().fit_transform(table.pop(train_utils.LABEL))
        features = StandardScaler().fit_transform(pd.get_dummies(table))
        train, test, train_labels, test_labels = train_test_split(
            features, labels, test_size=0.3, random_state=0
        )
        estimator.fit(train, train_labels)
        estimator.score(test, test_labels)
        Path("models/document.pkl").write_bytes(pickle.dumps(estimator))


def peak_mb() -> float:
    """Return the largest memory that this process had."""
    status = Path("/proc/self/status")
    match = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
    if match:
        return int(match[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(kind: str, directory: str) -> None:
    """Train, and print the times, the cores used while training, and the peak memory in MB."""
    times: Times = {"start": time.perf_counter() - started}
    before = time.process_time()
    {"ours": ours, "least": least, "document": document}[kind](directory, times)
    times["cores"] = (time.process_time() - before) / times["train"]
    times["peak MB"] = peak_mb()
    print(json.dumps(times))


if __name__ == "__main__":
    main(*sys.argv[1:])
