"""Every road to an answer gives the same one: both engines, single and combined servers, and without a server."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from check_endpoint import fetch, wait_until_ready
from conftest import MODEL_DIRS, ROOT, free_port, make, make_clone, setting

from utils.encode_decode import init_model
from utils.serving import Model

ROWS = 200
TOLERANCE = 5e-7  # from a common reference, so that two roads differ by 1e-6 at most
ENGINES = ["local", pytest.param("docker", marks=pytest.mark.docker)]


def sample() -> list[list[Any]]:
    """200 rows from all over the data, without their label: numbers as numbers."""
    lines = (ROOT / setting(MODEL_DIRS[0], "DATASET_NAME")).read_text().splitlines()[1:]
    rows = [line.split(",")[:-1] for line in random.Random(1).sample(lines, ROWS)]
    return [[float(cell) if cell.isdigit() else cell for cell in row] for row in rows]


@pytest.fixture(scope="module")
def instances() -> list[list[Any]]:
    return sample()


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
    """A clone in which every image is built with one engine, and whose models are the same files for both."""
    if engine == "docker":
        clone: Path = request.getfixturevalue("docker_clone")
    else:
        clone = make_clone(tmp_path_factory.mktemp("local"))
        targets = [
            (model, target) for model in MODEL_DIRS for target in ("build-train", "build-predict")
        ]
        for directory, target in (*targets, ("all", "build-predict")):
            built = make(clone, directory, target, engine=engine)
            assert built.returncode == 0, built.stderr
    shutil.copytree(trained / "models", clone / "models", dirs_exist_ok=True)
    return clone


@contextmanager
def serving(clone: Path, directory: str, engine: str) -> Iterator[str]:
    """The address of a server that make runs in the background, and stops."""
    port = free_port()
    target = "predict-all" if directory == "all" else "predict"
    started = make(clone, directory, target, engine=engine, DETACH=1, PORT=port)
    assert started.returncode == 0, started.stderr
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", 60)
        yield f"http://127.0.0.1:{port}"
    finally:
        assert make(clone, directory, "stop", engine=engine).returncode == 0


def ask(server: str, name: str, instances: list[list[Any]]) -> dict[str, Any]:
    """A server's answer to rows on one model's route."""
    status, answer = fetch(
        f"{server}/{name}/predict", json.dumps({"payload": {"instances": instances}}).encode()
    )
    assert status == 200, answer
    return dict(answer["payload"])


def single(clone: Path, engine: str, instances: list[list[Any]]) -> dict[str, Any]:
    """Each model's answer by its own server."""
    answers = {}
    for directory in MODEL_DIRS:
        with serving(clone, directory, engine) as server:
            answers[directory] = ask(server, setting(directory, "MODEL_NAME"), instances)
    return answers


def combined(clone: Path, engine: str, instances: list[list[Any]]) -> dict[str, Any]:
    """Each model's answer by the one server for all."""
    with serving(clone, "all", engine) as server:
        return {
            directory: ask(server, setting(directory, "MODEL_NAME"), instances)
            for directory in MODEL_DIRS
        }


def once(clone: Path, engine: str, instances: list[list[Any]]) -> dict[str, Any]:
    """Each model's answer by its train image, without a server."""
    payload = json.dumps({"instances": instances})
    done = {
        directory: make(clone, directory, "predict-once", engine=engine, PAYLOAD=payload)
        for directory in MODEL_DIRS
    }
    assert [answered.stderr for answered in done.values() if answered.returncode] == []
    return {directory: json.loads(answered.stdout) for directory, answered in done.items()}


def reference(models: Path, directory: str, instances: list[list[Any]]) -> dict[str, Any]:
    """What the model file answers in this very process."""
    return Model(init_model(setting(directory, "MODEL_NAME"), models)).predict(instances)


def differences(found: dict[str, Any], expected: dict[str, Any]) -> int:
    """The rows on which two answers' predictions or scores are not the same."""
    both = zip(
        found["predictions"],
        found["scores"],
        expected["predictions"],
        expected["scores"],
        strict=True,
    )
    return sum(
        prediction != right
        or any(abs(a - b) > TOLERANCE for a, b in zip(scores, right_scores, strict=True))
        for prediction, scores, right, right_scores in both
    )


@pytest.mark.parametrize("road", [single, combined, once])
def test_every_road_gives_the_model_files_own_answers(
    clone: Path,
    engine: str,
    road: Callable[..., dict[str, Any]],
    trained: Path,
    instances: list[list[Any]],
) -> None:
    answers = road(clone, engine, instances)
    for directory in MODEL_DIRS:
        expected = reference(trained / "models", directory, instances)
        assert len(answers[directory]["predictions"]) == ROWS
        assert answers[directory]["labels"] == expected["labels"]
        assert differences(answers[directory], expected) == 0


def test_a_difference_would_be_seen(trained: Path, instances: list[list[Any]]) -> None:
    first, second = (
        reference(trained / "models", directory, instances) for directory in MODEL_DIRS[:2]
    )
    assert differences(first, first) == 0
    assert differences(first, second) > ROWS / 2
    nudged = {**first, "scores": [[a, b + 2 * TOLERANCE] for a, b in first["scores"]]}
    assert differences(nudged, first) == ROWS
    assert {0, 1} == set(first["predictions"]), "the sample holds both classes"
