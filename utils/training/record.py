"""Assemble the contents of a model file."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from utils.dataset.description import Column, Description
from utils.dataset.instances import rows_of
from utils.errors import TrainingError
from utils.model import TOLERANCE, Model
from utils.table.rows import InvalidInstances
from utils.training.labels import classes_of, target
from utils.training.split import Parts

GOLDEN_PER_CLASS = 8
GOLDEN_ROWS = 200
LIBRARIES = (
    "catboost",
    "lightgbm",
    "numpy",
    "onnx",
    "onnxruntime",
    "pandas",
    "scikit-learn",
    "skl2onnx",
    "xgboost",
    "xgboost-cpu",
)


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


def schema(description: Description, train: pd.DataFrame, has_scores: bool) -> dict[str, Any]:
    """Return the schema of requests and replies: columns, task, classes."""
    label = train[description.label.name]
    found = {
        "columns": [column_schema(column, train[column.name]) for column in description.columns],
        "task": description.task,
        "classes": classes_of(label, description),
        "scores": has_scores,
    }
    if description.task == "regression":
        found["tolerance"] = tolerance_of(target(label, []))
    return found


def column_schema(column: Column, values: pd.Series) -> dict[str, Any]:
    """Return the name, the kind, and the categories or range of a column.

    `values` are those of the training part.
    """
    found: dict[str, Any] = {"name": column.name, "kind": column.kind}
    known = values.dropna()
    if column.kind in ("category", "boolean"):
        found["categories"] = sorted(known.unique().tolist())
    elif column.kind == "number" and len(known):
        found |= {"minimum": float(known.min()), "maximum": float(known.max())}
    elif column.kind == "date":
        found["format"] = column.format
    return found


def tolerance_of(target: Any) -> float:
    """Return the allowed difference of two predictions of a number.

    It is relative to the spread of the label. ONNX Runtime computes in float32, whose rounding is
    relative to the number.
    """
    return float(10 * TOLERANCE * target.std() + 1e-6 * abs(target).max())


def golden_rows(model: Model, parts: Parts, description: Description) -> dict[str, Any]:
    """Return a few rows of each class with the model's answers.

    The rows are held-out ones, or rows of the training part if the model rejects all of them. The
    server compares its own answers with them before it is ready. Raises TrainingError without rows.
    """
    for part in (parts.held_out, parts.train):
        rows = valid_rows(model, part, description)
        if rows:
            answer = model.predict(rows)
            answer.pop("labels", None)
            return {"instances": rows, **answer}
    raise TrainingError(
        f"model {model.name}: it rejects all rows of its own data, so it can't be checked. "
        "Nothing was written. Describe the columns in another way."
    )


def valid_rows(model: Model, part: pd.DataFrame, description: Description) -> list[Any]:
    """Return the first rows of each class that the model accepts."""
    per_class = max(1, min(GOLDEN_PER_CLASS, GOLDEN_ROWS // max(1, len(model.classes))))
    if not model.classes:
        per_class *= 2
    limit = min(GOLDEN_ROWS, per_class * max(1, len(model.classes)))
    labels = part[description.label.name].tolist() if model.classes else [None] * len(part)
    rows: list[Any] = []
    counts: Counter[Any] = Counter()
    for row, label in zip(rows_of(part, description.columns), labels):
        if counts[label] == per_class:
            continue
        with suppress(InvalidInstances):
            model.encoder.encode([row])
            rows.append(row)
            counts[label] += 1
        if len(rows) == limit:
            break
    return rows


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
