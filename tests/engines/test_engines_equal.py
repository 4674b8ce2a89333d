"""Both engines give the same answers: one model, all models, no server."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from check_endpoint import wait_until_ready
from support.clones import make_clone
from support.commands import ROOT, make, output_of
from support.models import MODEL_DIRS, instances_body, setting
from support.network import free_port

from utils.encode_decode import init_model
from utils.serving import Model

ROWS = 200
# This is the distance from a common reference, so two answers differ by at most 1e-6.
TOLERANCE = 5e-7
ENGINES = ["local", pytest.param("docker", marks=pytest.mark.docker)]
Answer = dict[str, Any]
Rows = list[list[Any]]


@pytest.fixture(scope="module")
def instances() -> Rows:
    """Random rows of the data without the label; numbers are not texts."""
    lines = (ROOT / setting(MODEL_DIRS[0], "DATASET_NAME")).read_text().splitlines()[1:]
    rows = [line.split(",")[:-1] for line in random.Random(1).sample(lines, ROWS)]
    return [[float(cell) if cell.isdigit() else cell for cell in row] for row in rows]


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def clone(
    engine: str,
    trained: Path,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A clone in which every image is built with one engine.

    Its models are the same files for both engines.
    """
    if engine == "docker":
        clone: Path = request.getfixturevalue("docker_clone")
    else:
        clone = make_clone(tmp_path_factory.mktemp("local"))
        for directory in MODEL_DIRS:
            output_of(make(clone, directory, "build-train", "build-predict", ENGINE=engine))
        output_of(make(clone, "all", "build-predict", ENGINE=engine))
    shutil.copytree(trained / "models", clone / "models", dirs_exist_ok=True)
    return clone


@contextmanager
def serving(clone: Path, directory: str, engine: str) -> Iterator[str]:
    """Run a server in the background with make; yield its address, then stop it."""
    port = free_port()
    server = f"http://127.0.0.1:{port}"
    target = "predict-all" if directory == "all" else "predict"
    output_of(make(clone, directory, target, ENGINE=engine, DETACH=1, PORT=port))
    try:
        wait_until_ready(server, 60)
        yield server
    finally:
        output_of(make(clone, directory, "stop", ENGINE=engine))


def predict(server: str, directory: str, instances: Rows) -> Answer:
    """Return a server's answer to rows on one model's route."""
    url = f"{server}/{setting(directory, 'MODEL_NAME')}/predict"
    headers = {"Content-Type": "application/json"}
    with requests.Session() as session:
        session.trust_env = False
        response = session.post(url, instances_body(instances), headers=headers, timeout=30)
    assert response.status_code == 200, response.text
    return dict(response.json()["payload"])


def single(clone: Path, engine: str, instances: Rows) -> dict[str, Answer]:
    """Return the answer of each model from a separate server."""
    answers = {}
    for directory in MODEL_DIRS:
        with serving(clone, directory, engine) as server:
            answers[directory] = predict(server, directory, instances)
    return answers


def combined(clone: Path, engine: str, instances: Rows) -> dict[str, Answer]:
    """Return the answer of each model from the server for all models."""
    with serving(clone, "all", engine) as server:
        return {directory: predict(server, directory, instances) for directory in MODEL_DIRS}


def once(clone: Path, engine: str, instances: Rows) -> dict[str, Answer]:
    """Return the answer of each model from its train image, without a server."""
    payload = json.dumps({"instances": instances})
    answers = {}
    for directory in MODEL_DIRS:
        done = make(clone, directory, "predict-once", ENGINE=engine, PAYLOAD=payload)
        answers[directory] = json.loads(output_of(done))
    return answers


def reference(models: Path, directory: str, instances: Rows) -> Answer:
    """Return the answer of a model file that this process has loaded."""
    return Model(init_model(setting(directory, "MODEL_NAME"), models)).predict(instances)


def differences(found: Answer, expected: Answer) -> int:
    """Return the number of rows whose predictions or scores differ."""
    assert len(found["predictions"]) == len(expected["predictions"])
    assert len(found["scores"]) == len(expected["scores"])
    count = 0
    for row, prediction in enumerate(expected["predictions"]):
        scores = zip(found["scores"][row], expected["scores"][row], strict=True)
        is_close = all(abs(one - other) <= TOLERANCE for one, other in scores)
        if found["predictions"][row] != prediction or not is_close:
            count += 1
    return count


@pytest.mark.parametrize("method", [single, combined, once])
def test_every_method_gives_the_model_files_own_answers(
    clone: Path,
    engine: str,
    method: Callable[..., dict[str, Answer]],
    trained: Path,
    instances: Rows,
) -> None:
    answers = method(clone, engine, instances)
    for directory in MODEL_DIRS:
        expected = reference(trained / "models", directory, instances)
        assert len(answers[directory]["predictions"]) == ROWS
        assert answers[directory]["labels"] == expected["labels"]
        assert differences(answers[directory], expected) == 0


def test_a_difference_would_be_counted(trained: Path, instances: Rows) -> None:
    first = reference(trained / "models", MODEL_DIRS[0], instances)
    second = reference(trained / "models", MODEL_DIRS[1], instances)
    assert differences(first, first) == 0
    assert differences(first, second) > ROWS / 2
    nudged = {**first, "scores": [[a, b + 2 * TOLERANCE] for a, b in first["scores"]]}
    assert differences(nudged, first) == ROWS
    # The sample holds both classes.
    assert {0, 1} == set(first["predictions"])
