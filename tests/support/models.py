"""Models: settings and examples of their directories, and model files.

This module defines MODEL_DIRS, FASTEST, setting, train, example, example_body, example_rows,
list_row, object_row, instances_body, model_file, file_digest, seal, rewrite_model, two_versions,
replace_model_file.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from support.commands import ROOT, Completed, run

from utils.encode_decode import MAGIC, init_model, pickle_model

MODEL_DIRS = sorted(path.parent.name for path in ROOT.glob("*/train.py"))


def setting(directory: str, name: str, file: str = "Makefile") -> str:
    """Return the value that a directory's Makefile gives to `name`."""
    lines = (ROOT / directory / file).read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{name} "))
    return line.partition(":=")[2].strip()


def fastest() -> str:
    """Return the directory of the model that trains fastest."""
    linear = (name for name in MODEL_DIRS if setting(name, "MODEL_NAME").endswith("_lr"))
    return next(linear, MODEL_DIRS[0])


FASTEST = fastest()


def train(directory: Path, model: str, **payload: object) -> Completed:
    """Train a model directory's model in `directory`, as its container would."""
    message = {
        "$ref": setting(model, "DATASET_NAME"),
        "model_name": setting(model, "MODEL_NAME"),
        **payload,
    }
    variables = {
        "TRAIN": "1",
        "TRAIN_MODULE": f"{model}.train",
        "TRAIN_FUNCTION": "train",
        "PAYLOAD": json.dumps(message),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'builders'}",
        "SOURCE_DATE_EPOCH": "0",
    }
    return run(sys.executable, "-m", "runtime.train", cwd=directory, env=variables)


def example_body(model: str) -> bytes:
    """Return the body that posts a model's test instances."""
    return (ROOT / model / "test" / "test_instances.json").read_bytes()


def example(model: str) -> dict[str, Any]:
    """Return a model's test instances: `payload`, and `expected` predictions."""
    document: dict[str, Any] = json.loads(example_body(model))
    return document


def example_rows(model: str) -> list[Any]:
    """Return the rows of a model's test instances, lists and objects."""
    rows: list[Any] = example(model)["payload"]["instances"]
    return rows


def list_row(model: str) -> list[Any]:
    """Return the first test instance that is a list, in column order."""
    return next(row for row in example_rows(model) if isinstance(row, list))


def object_row(model: str) -> dict[str, Any]:
    """Return the first test instance that is an object, by column name."""
    return next(row for row in example_rows(model) if isinstance(row, dict))


def instances_body(rows: object) -> bytes:
    """Return the body that posts `rows` as instances."""
    return json.dumps({"payload": {"instances": rows}}).encode()


def model_file(directory: Path, model: str = MODEL_DIRS[0]) -> Path:
    """Return the path of a model directory's model file in directory/models."""
    return directory / "models" / f"{setting(model, 'MODEL_NAME')}.pkl"


def file_digest(content: bytes) -> str:
    """Return the digest in the trailer of a model file's content."""
    return content[-40:-8].hex()


def seal(body: bytes) -> bytes:
    """Return a model file with a valid trailer for any body."""
    return body + hashlib.sha256(body).digest() + MAGIC


def rewrite_model(directory: Path, name: str, source: str, **changes: Any) -> bytes:
    """Write models/NAME.pkl with the contents of the model `source`, changed.

    Returns the content of the new file.
    """
    contents = init_model(source, directory / "models")
    contents.pop("digest")
    file = pickle_model({**contents, "modelName": name, **changes}, directory / "models")
    return file.read_bytes()


def two_versions(trained: Path, directory: Path, name: str) -> list[bytes]:
    """Return two model files called `name` whose answers differ.

    The first is a linear model, the second has boosted trees. The second stays in directory/models.
    """
    versions = []
    for source in (MODEL_DIRS[0], MODEL_DIRS[-1]):
        contents = init_model(setting(source, "MODEL_NAME"), trained / "models")
        contents.pop("digest")
        file = pickle_model({**contents, "modelName": name}, directory / "models")
        versions.append(file.read_bytes())
    return versions


def replace_model_file(file: Path, content: bytes) -> None:
    """Replace a model file atomically, as training does."""
    unfinished = file.with_suffix(".new")
    unfinished.write_bytes(content)
    unfinished.rename(file)
