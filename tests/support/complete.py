"""Model files in the complete form, of a pipeline on the data set `gaps`.

This module defines ENCODER, write_complete, with_estimator.
"""

from pathlib import Path
from typing import Any

from runtime.message import Message
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier
from support.datasets import write_dataset

from common_utils.train_utils import train_model
from utils.encode_decode import init_model, pickle_model
from utils.forms.skops import TRUSTED, dump, load

ENCODER = ColumnTransformer(
    [("number", SimpleImputer(), ["n"]), ("job", OneHotEncoder(handle_unknown="ignore"), ["job"])],
    sparse_threshold=0,
)


def write_complete(project: Path, estimator: BaseEstimator | None = None) -> dict[str, Any]:
    """Train a pipeline of ENCODER and an estimator in the working directory `project`.

    Returns the contents of its file, models/m.pkl, without the digest.
    """
    (project / "models").mkdir(exist_ok=True)
    write_dataset(project, "gaps")
    tree = DecisionTreeClassifier(max_depth=4, random_state=0)
    payload = {"$ref": "data/gaps.csv", "model_name": "m"}
    pipeline = make_pipeline(ENCODER, tree if estimator is None else estimator)
    train_model(Message(payload=payload), pipeline, "A test")
    contents = init_model("m")
    del contents["digest"]
    return contents


def pipeline_of(contents: dict[str, Any]) -> Pipeline:
    """Return the fitted pipeline in the contents of a file."""
    return load(contents["model"], TRUSTED)


def with_estimator(contents: dict[str, Any], kind: type, directory: Path | str = "models") -> bytes:
    """Write a file whose tree has another class; return its bytes."""
    pipeline = pipeline_of(contents)
    tree = kind()
    vars(tree).update(vars(pipeline[-1]))
    changed = Pipeline([*pipeline.steps[:-1], ("tree", tree)])
    return pickle_model({**contents, "model": dump(changed)}, directory).read_bytes()
