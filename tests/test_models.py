"""Every model directory: its quality, its answers, its names and its length."""

import importlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from runtime.message import Message
from sklearn.metrics import accuracy_score, log_loss
from sklearn.pipeline import Pipeline
from support.commands import ROOT, output_of, run
from support.models import MODEL_DIRS, example, setting, train

from utils.dataset.description import Description
from utils.dataset.read import read_dataset
from utils.encode_decode import init_model
from utils.serving import Model
from utils.training.pipeline import fit_pipeline
from utils.training.split import Parts

UCI_TRAINING_ROWS = 32561


class Floor(NamedTuple):
    """The least accuracy and the most log loss on adult.test."""

    accuracy: float
    log_loss: float


FLOORS = {
    "adult_income_lr": Floor(0.852, 0.319),
    "adult_income_rf": Floor(0.863, 0.300),
    "adult_income_xgb": Floor(0.872, 0.279),
}
# A new model must be better than a guess: 0.7638 of the rows have the more frequent label.
NEW_MODEL = Floor(0.80, 0.45)
# Lines that are not blank, docstrings included. Each parameter of an estimator has its own line.
LIMITS = {"train.py": 16, "predict.py": 6, "Makefile": 4, ".s2i/environment": 5}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """The real data, adult.data's rows first."""
    return pd.read_csv(ROOT / "data" / "adult_income-prepped.csv")


@pytest.fixture(scope="module", params=MODEL_DIRS)
def directory(request: pytest.FixtureRequest) -> str:
    """Each model directory in turn."""
    return str(request.param)


@pytest.fixture(scope="module")
def contents(directory: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The contents of the model's file, trained on UCI's training part."""
    place = tmp_path_factory.mktemp(directory)
    (place / "models").mkdir()
    (place / "data").symlink_to(ROOT / "data")
    output_of(train(place, directory, train_rows=UCI_TRAINING_ROWS))
    return init_model(setting(directory, "MODEL_NAME"), place / "models")


@pytest.fixture(scope="module")
def answers(contents: dict[str, Any], table: pd.DataFrame) -> dict[str, Any]:
    """The model file's answers for every row of adult.test, sent as JSON."""
    features = table[UCI_TRAINING_ROWS:].drop(columns="income")
    rows = json.loads(features.to_json(orient="values"))
    return Model(contents, ignore_unknown=True).predict(rows)


def test_the_model_is_as_good_as_promised(
    contents: dict[str, Any], answers: dict[str, Any], table: pd.DataFrame
) -> None:
    labels = table["income"][UCI_TRAINING_ROWS:]
    scores = np.array(answers["scores"])
    # The sums of float32 scores are 1 except for rounding.
    scores /= scores.sum(axis=1, keepdims=True)
    accuracy = accuracy_score(labels, answers["predictions"])
    loss = log_loss(labels, scores)

    floor = FLOORS.get(contents["modelName"], NEW_MODEL)
    assert accuracy >= floor.accuracy
    assert loss <= floor.log_loss

    metrics = contents["metrics"]
    assert metrics["accuracy"] == pytest.approx(accuracy, abs=2e-6)
    assert metrics["log_loss"] == pytest.approx(loss, abs=2e-6)
    assert metrics["rows_compared"] == len(labels) == 16281


def test_a_guess_is_not_as_good_as_promised(table: pd.DataFrame) -> None:
    labels = table["income"][UCI_TRAINING_ROWS:]
    share = table["income"][:UCI_TRAINING_ROWS].mean()
    accuracy = accuracy_score(labels, np.zeros(len(labels)))
    loss = log_loss(labels, np.full(len(labels), share))
    for floor in (*FLOORS.values(), NEW_MODEL):
        assert accuracy < floor.accuracy
        assert loss > floor.log_loss


class Fit(NamedTuple):
    """The arguments of train.py: its estimator, and the encoding of numbers."""

    estimator: Any
    numbers: str | None


def fit_of(directory: str, monkeypatch: pytest.MonkeyPatch) -> Fit:
    """Return the arguments that a directory's train.py passes to train_model."""
    fits: list[Fit] = []

    def train_model(
        _: Message, estimator: Any, description: str, numbers: str | None = None
    ) -> None:
        fits.append(Fit(estimator, numbers))

    module = importlib.import_module(f"{directory}.train")
    monkeypatch.setattr(module, "train_model", train_model)
    module.train(Message(payload={}))
    return fits[0]


@pytest.fixture(scope="module")
def dataset() -> tuple[pd.DataFrame, Description]:
    """The real data and their description, as training reads them."""
    return read_dataset(ROOT / "data" / "adult_income-prepped.csv")


def fitted_again(
    directory: str,
    dataset: tuple[pd.DataFrame, Description],
    rows: int,
    monkeypatch: pytest.MonkeyPatch,
) -> Pipeline:
    """Return train.py's pipeline, fitted with only scikit-learn and xgboost.

    The first `rows` are the training part.
    """
    table, description = dataset
    parts = Parts(table[:rows], table[rows:])
    pipeline = fit_pipeline(parts, description, *fit_of(directory, monkeypatch))

    encoders = [encoder for _, encoder, _ in pipeline[0].transformers_]
    steps = [pipeline, pipeline[0], pipeline[1], *encoders]
    packages = {type(step).__module__.split(".")[0] for step in steps}
    assert packages <= {"sklearn", "xgboost"}
    return pipeline


def test_the_file_answers_as_the_estimator_itself(
    directory: str,
    answers: dict[str, Any],
    dataset: tuple[pd.DataFrame, Description],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held_out = dataset[0][UCI_TRAINING_ROWS:].drop(columns="income")
    scores = np.array(answers["scores"])

    same = fitted_again(directory, dataset, UCI_TRAINING_ROWS, monkeypatch)
    assert np.abs(scores - same.predict_proba(held_out)).max() <= 1e-5
    assert answers["predictions"] == same.predict(held_out).tolist()

    other = fitted_again(directory, dataset, 10_000, monkeypatch)
    assert np.abs(scores - other.predict_proba(held_out)).max() > 0.1
    assert answers["predictions"] != other.predict(held_out).tolist()


class Route(NamedTuple):
    """An entry of ROUTES."""

    path: str
    module: str
    function: str


def route(directory: str) -> Route:
    """Return the only route of a model directory."""
    (line,) = [line for line in environment(directory) if line.startswith("ROUTES=")]
    return Route(*line.removeprefix("ROUTES=").split(":"))


def environment(directory: str) -> list[str]:
    """Return the lines of a model directory's .s2i/environment."""
    return (ROOT / directory / ".s2i" / "environment").read_text().splitlines()


def test_file_route_and_function_share_the_models_name(directory: str) -> None:
    name = setting(directory, "MODEL_NAME")
    module = "finance_income_prediction.predict"
    function = f"predict_{name}"
    assert route(directory) == (f"{name}/predict", module, function)
    assert f"PREDICT_MODULE={module}" in environment(directory)
    assert f"PREDICT_FUNCTION={function}" in environment(directory)
    assert setting(directory, "CONTAINER_NAME") == name.replace("_", "-")

    code = f"from {directory}.predict import {function} as it; print(it.__name__, it.hook.name)"
    assert output_of(run(sys.executable, "-c", code)) == f"{function} {name}\n"


def test_no_two_models_share_a_name() -> None:
    for name in ("MODEL_NAME", "CONTAINER_NAME"):
        values = {setting(directory, name) for directory in MODEL_DIRS}
        assert len(values) == len(MODEL_DIRS)


def test_the_test_instances_have_the_documents_shape(directory: str) -> None:
    content = example(directory)
    assert list(content) == ["payload", "expected"]
    assert list(content["payload"]) == ["instances"]
    instances = content["payload"]["instances"]
    expected = content["expected"]
    assert len(instances) == len(expected) >= 2
    assert set(expected) == {0, 1}
    assert {type(row) for row in instances} == {list, dict}


def test_the_model_answers_its_test_instances_as_expected(directory: str, trained: Path) -> None:
    content = example(directory)
    model = Model(init_model(setting(directory, "MODEL_NAME"), trained / "models"))
    assert model.answer(Message(content))["predictions"] == content["expected"]


def filled_lines(path: Path) -> int:
    """Return how many lines are not blank."""
    return sum(bool(line.strip()) for line in path.read_text().splitlines())


@pytest.mark.parametrize("file", LIMITS)
def test_what_an_author_writes_stays_short(directory: str, file: str) -> None:
    assert 0 < filled_lines(ROOT / directory / file) <= LIMITS[file]


def snapshot(root: Path) -> dict[str, str]:
    """Return all files of a clone and their texts, without those that git ignores."""
    texts = {}
    for path in root.rglob("*"):
        is_ignored = ".local" in path.parts or path.suffix == ".pyc"
        if path.is_file() and not is_ignored:
            texts[str(path.relative_to(root))] = path.read_text()
    return texts


def copy_model(clone: Path, source: str, target: str) -> Path:
    """Copy a model directory, the first step of a new model."""
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(clone / source, clone / target, ignore=ignored))


def rename_model(directory: Path, source: str) -> None:
    """Write another name in a copied model directory, as a user does."""
    old = setting(source, "MODEL_NAME")
    for name in LIMITS:
        file = directory / name
        text = file.read_text()
        text = text.replace(old, "fourth_model")
        text = text.replace(old.replace("_", "-"), "fourth-model")
        file.write_text(text)


def test_a_fourth_model_is_its_directory_and_one_word(clone: Path) -> None:
    rename_model(copy_model(clone, MODEL_DIRS[0], "fourthModel"), MODEL_DIRS[0])
    before = snapshot(clone)
    output_of(run("make", "-C", "all", "generate", cwd=clone))
    assert snapshot(clone) == before, "a directory alone changes nothing"

    makefile = clone / "all" / "Makefile"
    text = makefile.read_text()
    makefile.write_text(text.replace("MODEL_DIRS := ", "MODEL_DIRS := fourthModel "))
    output_of(run("make", "-C", "all", "generate", cwd=clone))

    after = snapshot(clone)
    changed = {file for file in after if after[file] != before.get(file)}
    assert changed == {"all/Makefile", "all/predict.py", "all/.s2i/environment"}
    entry = "fourth_model/predict:finance_income_prediction.predict:predict_fourth_model"
    assert f"={entry}," in after["all/.s2i/environment"]
    assert "from .fourthModel.predict import predict_fourth_model\n" in after["all/predict.py"]


def test_a_fourth_model_under_anothers_name_is_refused(clone: Path) -> None:
    source = MODEL_DIRS[0]
    copy_model(clone, source, "fourthModel")
    done = run("python3", "all/generate.py", "--check", source, "fourthModel", cwd=clone)
    message = (
        f"generate: route {route(source).path} is in both {source} and fourthModel. "
        "Rename one of them.\n"
    )
    assert (done.returncode, done.stderr) == (78, message)
