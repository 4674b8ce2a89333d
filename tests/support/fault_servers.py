"""The servers of the fault tests: versioned models, and naive controls.

This module defines versions_server, models_folder, naive_server, write_naive_model.
"""

import pickle
from pathlib import Path

import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier
from support.applications import PYTHONPATH, routes
from support.apps.naive import FILE as NAIVE_FILE
from support.commands import ROOT
from support.models import two_versions
from support.server import Server

LABEL = "income"
NAIVE_ROWS = 2_000


def models_folder(trained: Path, directory: Path, *names: str) -> dict[str, list[bytes]]:
    """Make directory/models with a model of each name; return two versions of each.

    The second version is in the folder.
    """
    (directory / "models").mkdir()
    return {name: two_versions(trained, directory, name) for name in names}


def versions_server(
    directory: Path,
    *names: str,
    functions: tuple[str, ...] = (),
    module: tuple[str, ...] = ("runtime.serve",),
    prefix: tuple[str, ...] = (),
    **variables: str,
) -> Server:
    """Return a server of models of apps/versions.py and of functions of apps/app.py.

    `directory` holds models/.
    """
    entries = [routes(name, module="versions") for name in names]
    entries += [routes(name) for name in functions]
    environment = {"PYTHONPATH": PYTHONPATH, **variables}
    return Server(directory, ",".join(entries), module=module, prefix=prefix, **environment)


def naive_server(directory: Path, kind: str, entries: str = "", **variables: str) -> Server:
    """Return a server of apps/naive.py; `entries` are its ROUTES."""
    environment = {"PYTHONPATH": PYTHONPATH, **variables}
    return Server(directory, entries, module=("naive", kind), **environment)


def write_naive_model(directory: Path) -> bytes:
    """Train a pipeline; write and return the pickle that naive servers open."""
    (directory / "models").mkdir(exist_ok=True)

    table = pd.read_csv(ROOT / "data/adult_income-prepped.csv", nrows=NAIVE_ROWS)
    categories = make_column_selector(dtype_exclude="number")
    one_hot = OneHotEncoder(handle_unknown="ignore")
    encoder = make_column_transformer((one_hot, categories), remainder="passthrough")
    pipeline = make_pipeline(encoder, DecisionTreeClassifier(max_depth=8))
    pipeline.fit(table.drop(columns=LABEL), table[LABEL])

    content = pickle.dumps(pipeline)
    (directory / NAIVE_FILE).write_bytes(content)
    return content
