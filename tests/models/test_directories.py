"""Every model directory: names, test instances, answers and training.

A project made by `make new-project` has these tests too.
"""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from runtime.environment import check_file
from runtime.message import Message
from support.commands import ROOT, output_of, run
from support.models import MODEL_DIRS, example, setting, train

from utils.encode_decode import init_model
from utils.model import Model
from utils.table.rows import InvalidInstances

TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=MODEL_DIRS)
def directory(request: pytest.FixtureRequest) -> str:
    """Each model directory in turn."""
    return str(request.param)


class Training(NamedTuple):
    """Two trainings of a model: the folder and the bytes of the model files."""

    folder: Path
    first: bytes
    second: bytes


@pytest.fixture(scope="module")
def training(directory: str, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """The model file of a directory, trained twice."""
    folder = tmp_path_factory.mktemp(directory)
    (folder / "models").mkdir()
    (folder / "data").symlink_to(ROOT / "data")
    file = folder / "models" / f"{setting(directory, 'MODEL_NAME')}.pkl"
    files = []
    for _ in range(2):
        output_of(train(folder, directory))
        files.append(file.read_bytes())
    return Training(folder, *files)


@pytest.fixture(scope="module")
def model(directory: str, training: Training) -> Model:
    """The trained model of a directory."""
    return Model(init_model(setting(directory, "MODEL_NAME"), training.folder / "models"))


def test_route_function_and_file_have_the_models_name(directory: str) -> None:
    name = setting(directory, "MODEL_NAME")
    routes = check_file(ROOT / directory / ".s2i/environment", "predict")
    package = setting(".", "PACKAGE", "project.mk")
    assert [(route.path, route.module) for route in routes] == [
        (f"{name}/predict", f"{package}.predict")
    ]
    code = f"from {directory}.predict import {routes[0].function} as it; print(it.hook.name)"
    assert output_of(run(sys.executable, "-c", code)) == f"{name}\n"


def test_no_two_models_share_a_name() -> None:
    for variable in ("MODEL_NAME", "CONTAINER_NAME"):
        values = [setting(directory, variable) for directory in MODEL_DIRS]
        assert len(set(values)) == len(values)


def test_model_answers_its_test_instances(directory: str, model: Model) -> None:
    content = example(directory)
    answer = model.answer(Message(content))
    predictions = answer["predictions"]
    assert len(predictions) == len(content["payload"]["instances"]) >= 1
    expected = content.get("expected", predictions)
    if "labels" in answer:
        assert predictions == expected
        assert set(predictions) <= set(answer["labels"])
    else:
        assert predictions == pytest.approx(expected, rel=TOLERANCE)


def test_model_rejects_a_value_of_another_kind(directory: str, model: Model) -> None:
    instances: list[Any] = example(directory)["payload"]["instances"]
    row = next(row for row in instances if isinstance(row, dict))
    for name in row:
        with pytest.raises(InvalidInstances):
            model.predict([{**row, name: {"not": "a value"}}])
    with pytest.raises(InvalidInstances):
        model.predict([{**row, "no such column": 1}])


def test_training_twice_writes_the_same_file(training: Training) -> None:
    assert training.first == training.second


def test_combined_application_is_generated_from_the_models() -> None:
    directories = setting("all", "MODEL_DIRS").split()
    code = (
        "import json, sys; sys.path.insert(0, 'all'); import generate; "
        "print(json.dumps(generate.generate(sys.argv[1:])))"
    )
    texts = json.loads(output_of(run(sys.executable, "-c", code, *directories)))
    for name, text in texts.items():
        assert (ROOT / "all" / name).read_text() == text, "run make generate"
