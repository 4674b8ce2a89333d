"""One training in a process of its own: prints seconds, cores and peak memory as JSON. bench/training.py calls it.

Usage: python bench/train_once.py ours|least|document MODEL_DIR      in a folder with data/table.csv and models/

ours: the train function through the train runner. least: pandas reads the CSV, the estimator fits a ready matrix.
document: as a data scientist would, pandas.get_dummies, StandardScaler, default settings, a pickle.
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

started = time.perf_counter()
import pandas as pd  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402
from sklearn.preprocessing import LabelEncoder, StandardScaler  # noqa: E402

from common_utils import train_utils  # noqa: E402

TABLE = "data/table.csv"
Times = dict[str, float]


@contextlib.contextmanager
def timed(times: Times, name: str) -> Iterator[None]:
    """Adds the seconds spent inside to times[name]."""
    begun = time.perf_counter()
    yield
    times[name] = times.get(name, 0) + time.perf_counter() - begun


def asked_for(directory: str) -> tuple[Any, str]:
    """The unfitted estimator of a model's train.py and how it wants its numbers."""
    module = importlib.import_module(f"{directory}.train")
    asked: list[Any] = []
    module.train_model = lambda msg, estimator, description, numbers="raw": asked.extend(
        (estimator, numbers)
    )
    module.train(None)
    return asked[0], asked[1]


def ours(directory: str, times: Times) -> None:
    """The train function, as an image runs it; its export and its comparison are timed apart too."""
    from runtime.train import main

    def apart(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            with timed(times, name):
                return function(*arguments)

        return call

    for name in ("to_onnx", "compare"):
        setattr(train_utils, name, apart(name, getattr(train_utils, name)))
    os.environ.update(TRAIN="1", TRAIN_MODULE=f"{directory}.train", TRAIN_FUNCTION="train")
    os.environ["PAYLOAD"] = json.dumps({"$ref": TABLE, "model_name": "bench"})
    with timed(times, "train"), contextlib.redirect_stdout(io.StringIO()):
        if main():
            raise RuntimeError(f"{directory}: its train function failed")


def least(directory: str, times: Times) -> None:
    """The CSV's read, and the estimator's fit on the matrix that ours fits; what lies between isn't counted."""
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
    """The document's way from the CSV to a pickle and its accuracy, the library's default settings."""
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


def main(kind: str, directory: str) -> None:
    """Trains and prints the times, the cores used while training, and the peak memory in MB."""
    times: Times = {"start": time.perf_counter() - started}
    before = time.process_time()
    {"ours": ours, "least": least, "document": document}[kind](directory, times)
    times["cores"] = (time.process_time() - before) / times["train"]
    status = Path("/proc/self/status")
    kilobytes = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
    times["peak MB"] = (
        int(kilobytes[1]) if kilobytes else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ) / 1024
    print(json.dumps(times))


if __name__ == "__main__":
    main(*sys.argv[1:])
