"""Fit the pipeline for a model and save it in the format of the peer.

Usage: python -m bench.peers.fit PEER MODEL STORE

The peer's Python runs it in the repository's root. MODEL is adult_income_lr, _rf or _xgb. STORE is
a folder. It also writes STORE/MODEL.expected.json, which has the pipeline's answers to
table.rows(100). A model that was fitted from the same files is not fitted again.
"""

import hashlib
import importlib
import json
import os
import pickle
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import joblib
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bench.measure import models
from bench.peers.table import CATEGORIES, COLUMNS, DATA, LABEL, NUMBERS, ROOT, rows

DIRECTORIES = models()


def our_estimator(model):
    """Return the estimator of MODEL's train.py."""
    # This stub replaces our train_model, and returns the estimator.
    stub = SimpleNamespace(train_model=lambda msg, estimator, *args, **options: estimator)
    sys.modules["common_utils.train_utils"] = stub
    return importlib.import_module(f"{DIRECTORIES[model]}.train").train(None)


def make_pipeline(peer, model):
    """Return a pipeline of encoder and estimator.

    Categories are encoded one-hot. Numbers are scaled for logistic regression. The document scales
    every column.
    """
    scaled = model == "adult_income_lr" and peer != "document"
    categories = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    numbers = StandardScaler() if scaled else "passthrough"
    encoder = ColumnTransformer(
        [("categories", categories, CATEGORIES), ("numbers", numbers, NUMBERS)]
    )
    steps = [("encoder", encoder), ("estimator", our_estimator(model))]
    if peer == "document":
        steps.insert(1, ("scaler", StandardScaler()))
    return Pipeline(steps)


def fitted(peer, model):
    """Return the pipeline, fitted on as many rows as our model."""
    table = pd.read_csv(DATA)
    train, _ = train_test_split(table, test_size=0.3, random_state=0, stratify=table[LABEL])
    pipeline = make_pipeline(peer, model).fit(train[COLUMNS], train[LABEL])
    if model != "adult_income_lr":
        # The workers already use all cores. Threads for one row would make a peer slower.
        pipeline["estimator"].set_params(n_jobs=1)
    return pipeline


def save_document(pipeline, model, store):
    """Write a pickle of the parts, as in the code of the document."""
    encoder = pipeline["encoder"].named_transformers_["categories"]
    values = [found.tolist() for found in encoder.categories_]
    parts = {
        "model": pipeline["estimator"],
        "scaler": pipeline["scaler"],
        "columns": COLUMNS,
        "numbers": NUMBERS,
        "categories": dict(zip(CATEGORIES, values)),
    }
    (store / f"{model}.pkl").write_bytes(pickle.dumps(parts))


def save_mlflow(pipeline, model, store):
    """Write two MLflow models: the pipeline with its signature, and ours.py as code."""
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
    example = pd.DataFrame(rows(5), columns=COLUMNS)
    signature = mlflow.models.infer_signature(example, pipeline.predict(example))
    shared = {"signature": signature, "pip_requirements": "bench/peers/mlflow/requirements.txt"}
    for mode in ("users", "ours"):
        shutil.rmtree(store / f"{model}-{mode}", ignore_errors=True)
    mlflow.sklearn.save_model(
        pipeline, store / f"{model}-users", serialization_format="cloudpickle", **shared
    )
    mlflow.pyfunc.save_model(
        store / f"{model}-ours", python_model="bench/peers/mlflow/ours.py", **shared
    )


def save_bentoml(pipeline, model, store):
    """Write a model to BentoML's store, whose folder is BENTOML_HOME."""
    os.environ.update(BENTOML_HOME=str(store), BENTOML_DO_NOT_TRACK="True")
    import bentoml

    with bentoml.models.create(model) as entry:
        joblib.dump(pipeline, entry.path_of("model.joblib"))


def save_mlserver(pipeline, model, store):
    """Write two model folders: one for mlserver-sklearn, and one for our runtime."""
    settings = {
        "users": {
            "implementation": "mlserver_sklearn.SKLearnModel",
            "parameters": {"uri": "./model.joblib"},
        },
        "ours": {"implementation": "bench.peers.mlserver.ours.AdultIncome"},
    }
    for mode, chosen in settings.items():
        folder = store / f"{model}-{mode}"
        folder.mkdir(exist_ok=True)
        (folder / "model-settings.json").write_text(json.dumps({"name": "adult_income", **chosen}))
    joblib.dump(pipeline, store / f"{model}-users" / "model.joblib")


def save_joblib(pipeline, model, store):
    """Write a joblib file.

    The users of LitServe, KServe and Seldon load it in their code.
    """
    joblib.dump(pipeline, store / f"{model}.joblib")


SAVE = {
    "document": save_document,
    "mlflow": save_mlflow,
    "bentoml": save_bentoml,
    "mlserver": save_mlserver,
}


def digest(peer, model):
    """Return a digest of all files that the saved model depends on."""
    shared = Path(__file__).parent.glob("*.py")
    folder = ROOT / "bench/peers" / peer
    own = [path for path in (folder / "ours.py", folder / "requirements.txt") if path.exists()]
    files = [DATA, ROOT / DIRECTORIES[model] / "train.py", *sorted(shared), *own]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def main(peer, model, store):
    """Fit and save the pipeline unless that was done before."""
    store = Path(store).resolve()
    record = store / f"{model}.expected.json"
    key = digest(peer, model)
    if record.exists() and json.loads(record.read_text())["digest"] == key:
        return
    print(f"---> Fitting {model} for {peer}", flush=True)
    store.mkdir(parents=True, exist_ok=True)
    pipeline = fitted(peer, model)
    SAVE.get(peer, save_joblib)(pipeline, model, store)
    predictions = pipeline.predict(pd.DataFrame(rows(100), columns=COLUMNS)).tolist()
    record.write_text(json.dumps({"digest": key, "predictions": predictions}))


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[2] not in DIRECTORIES:
        sys.exit(__doc__)
    main(*sys.argv[1:])
