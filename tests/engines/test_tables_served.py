"""Tables with descriptions, from the commands to the answers of a real server."""

import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import is_regressor
from support.clones import make_clone
from support.commands import make, output_of
from support.datasets import rows_as_json, write_dataset
from support.network import free_port
from xgboost import XGBClassifier, XGBRegressor

from utils.dataset.read import read_dataset
from utils.training.pipeline import features_of, fit_pipeline
from utils.training.split import split

SOURCE = "xgBoost"
TABLES = {
    "gaps": XGBClassifier(n_estimators=5),
    "complaints": XGBClassifier(n_estimators=5),
    "customers": XGBClassifier(n_estimators=5),
    "prices": XGBRegressor(n_estimators=5),
}
TRAIN = """from xgboost import XGBClassifier, XGBRegressor

from common_utils.train_utils import train_model


def train(msg):
    is_regression = msg.payload["$ref"] == "data/prices.csv"
    estimator = XGBRegressor if is_regression else XGBClassifier
    return train_model(msg, estimator(n_estimators=5), "A test")
"""


def made(clone: Path, *arguments: str, **variables: str) -> str:
    """Run make in the model directory; it must succeed. Return its output."""
    done = make(clone, "tables", *arguments, ENGINE="local", seconds=180, **variables)
    return output_of(done)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with a copied model directory, whose images are built."""
    clone = make_clone(tmp_path_factory.mktemp("tables"))
    shutil.copytree(clone / SOURCE, clone / "tables")
    (clone / "tables/train.py").write_text(TRAIN)
    for file in ("Makefile", "predict.py", ".s2i/environment"):
        path = clone / "tables" / file
        path.write_text(path.read_text().replace("adult_income_xgb", "tables"))
    makefile = clone / "tables/Makefile"
    makefile.write_text(makefile.read_text().replace("adult-income-xgb", "tables"))
    made(clone, "build-train")
    made(clone, "build-predict")
    return clone


@pytest.fixture
def port(clone: Path) -> Iterator[str]:
    """A port for a server, which is stopped at the end."""
    yield str(free_port())
    made(clone, "stop")


def post(port: str, instances: Any) -> Any:
    """Post instances to the server and return the payload of its answer."""
    body = json.dumps({"payload": {"instances": instances}}).encode()
    url = f"http://127.0.0.1:{port}/tables/predict"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)["payload"]


@pytest.mark.parametrize("name", TABLES)
def test_a_served_table_answers_all_held_out_rows_as_the_pipeline(
    clone: Path, port: str, name: str
) -> None:
    path = write_dataset(clone, name)
    made(clone, "train", f"DATASET_NAME=data/{name}.csv")

    table, description = read_dataset(path)
    parts = split(table, description)
    rows = rows_as_json(path, parts.held_out, description)
    pipeline = fit_pipeline(parts, description, TABLES[name])
    expected = pipeline.predict(features_of(parts.held_out, description))
    instances = clone / "tables/test/test_instances.json"
    instances.write_text(json.dumps({"payload": {"instances": rows[:4]}}))

    made(clone, "predict", DETACH="1", PORT=port)
    assert "4 predictions" in made(clone, "test-endpoint", PORT=port)
    found = post(port, rows)
    if is_regressor(TABLES[name]):
        np.testing.assert_allclose(found["predictions"], expected, rtol=1e-4)
        assert list(found) == ["predictions"]
    else:
        classes = sorted(set(parts.train["y"].tolist()))
        assert found["predictions"] == [classes[number] for number in expected]
        assert found["labels"] == classes
    assert post(port, rows[::-1])["predictions"] != found["predictions"], "the control"
