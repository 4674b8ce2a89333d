"""Every model directory: as good as promised, its file answers as the estimator does, one name, few lines."""

import importlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import MODEL_DIRS, ROOT, run, setting, train
from runtime.message import Message
from sklearn.metrics import accuracy_score, log_loss
from sklearn.pipeline import Pipeline

from common_utils.train_utils import fit, make_pipeline
from utils.encode_decode import init_model
from utils.serving import Model

UCI_TRAINING_ROWS = 32561
# At least this accuracy and at most this log loss on adult.test. A new model must beat a guess: 0.7638 earn less.
FLOORS = {
    "adult_income_lr": (0.852, 0.319),
    "adult_income_rf": (0.863, 0.300),
    "adult_income_xgb": (0.872, 0.279),
}
NEW_MODEL = (0.80, 0.45)
# Lines that are not blank, docstrings included; an author writes about 20.
LIMITS = {"train.py": 10, "predict.py": 6, "Makefile": 4, ".s2i/environment": 5}


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
    """What the model's file holds once it is trained on UCI's training part."""
    place = tmp_path_factory.mktemp(directory)
    (place / "models").mkdir()
    (place / "data").symlink_to(ROOT / "data")
    done = train(place, directory, train_rows=UCI_TRAINING_ROWS)
    assert done.returncode == 0, done.stderr
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
    scores /= scores.sum(axis=1, keepdims=True)  # float32's sums are one but for rounding
    found = accuracy_score(labels, answers["predictions"]), log_loss(labels, scores)
    accuracy, loss = FLOORS.get(contents["modelName"], NEW_MODEL)
    assert found[0] >= accuracy and found[1] <= loss, found
    recorded = contents["metrics"]["accuracy"], contents["metrics"]["log_loss"]
    assert recorded == pytest.approx(found, abs=2e-6)
    assert contents["metrics"]["rows_compared"] == len(labels) == 16281


def test_a_guess_is_not_as_good_as_promised(table: pd.DataFrame) -> None:
    labels = table["income"][UCI_TRAINING_ROWS:]
    share = table["income"][:UCI_TRAINING_ROWS].mean()
    assert accuracy_score(labels, np.zeros(len(labels))) < min(
        floor for floor, _ in [*FLOORS.values(), NEW_MODEL]
    )
    assert log_loss(labels, np.full(len(labels), share)) > max(
        loss for _, loss in [*FLOORS.values(), NEW_MODEL]
    )


def what_is_trained(directory: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, str]:
    """The estimator and the way with numbers that the author's train.py asks for."""
    asked: list[tuple[Any, str]] = []
    module = importlib.import_module(f"{directory}.train")
    monkeypatch.setattr(
        module, "train_model", lambda msg, it, text, numbers="raw": asked.append((it, numbers))
    )
    module.train(Message(payload={}))
    return asked[0]


def refitted(directory: str, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """The pipeline that train.py asks for, fitted once more: nothing but scikit-learn and xgboost."""
    estimator, numbers = what_is_trained(directory, monkeypatch)
    pipeline = make_pipeline(estimator, numbers, table)
    fit(pipeline, table)
    parts = [
        pipeline,
        pipeline[0],
        pipeline[1],
        *(part for _, part, _ in pipeline[0].transformers_),
    ]
    assert {type(part).__module__.split(".")[0] for part in parts} <= {"sklearn", "xgboost"}
    return pipeline


def test_the_file_answers_as_the_estimator_itself(
    directory: str, answers: dict[str, Any], table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = table[UCI_TRAINING_ROWS:].drop(columns="income")
    found = np.array(answers["scores"])
    own = refitted(directory, table[:UCI_TRAINING_ROWS], monkeypatch)
    assert np.abs(found - own.predict_proba(held_out)).max() <= 1e-5
    assert answers["predictions"] == own.predict(held_out).tolist()
    other = refitted(directory, table[:10_000], monkeypatch)  # must be told apart
    assert np.abs(found - other.predict_proba(held_out)).max() > 0.1
    assert answers["predictions"] != other.predict(held_out).tolist()


def route(directory: str) -> tuple[str, str, str]:
    """Path, module and function of a model directory's one route."""
    (line,) = [line for line in environment(directory) if line.startswith("ROUTES=")]
    path, module, function = line.removeprefix("ROUTES=").split(":")
    return path, module, function


def environment(directory: str) -> list[str]:
    """The lines of a model directory's .s2i/environment."""
    return (ROOT / directory / ".s2i" / "environment").read_text().splitlines()


def test_file_route_and_function_share_the_models_name(directory: str) -> None:
    name = setting(directory, "MODEL_NAME")
    path, module, function = route(directory)
    assert (path, module, function) == (
        f"{name}/predict",
        "finance_income_prediction.predict",
        f"predict_{name}",
    )
    assert f"PREDICT_MODULE={module}" in environment(directory)
    assert f"PREDICT_FUNCTION={function}" in environment(directory)
    assert setting(directory, "CONTAINER_NAME") == name.replace("_", "-")
    code = f"from {directory}.predict import {function} as it; print(it.__name__, it.hook.name)"
    assert run(sys.executable, "-c", code).stdout == f"{function} {name}\n"


def test_no_two_models_share_a_name() -> None:
    for name in ("MODEL_NAME", "CONTAINER_NAME"):
        assert len({setting(directory, name) for directory in MODEL_DIRS}) == len(MODEL_DIRS)


def test_the_test_instances_have_the_documents_shape(directory: str) -> None:
    content = json.loads((ROOT / directory / "test" / "test_instances.json").read_text())
    assert list(content) == ["payload", "expected"]
    assert list(content["payload"]) == ["instances"]
    instances, expected = content["payload"]["instances"], content["expected"]
    assert len(instances) == len(expected) >= 2
    assert set(expected) == {0, 1}
    assert {type(row) for row in instances} == {list, dict}


def test_the_model_answers_its_test_instances_as_expected(directory: str, trained: Path) -> None:
    content = json.loads((ROOT / directory / "test" / "test_instances.json").read_text())
    model = Model(init_model(setting(directory, "MODEL_NAME"), trained / "models"))
    assert model.answer(Message(content))["predictions"] == content["expected"]


def filled_lines(path: Path) -> int:
    """How many lines are not blank."""
    return sum(bool(line.strip()) for line in path.read_text().splitlines())


@pytest.mark.parametrize("file", LIMITS)
def test_what_an_author_writes_stays_short(directory: str, file: str) -> None:
    assert 0 < filled_lines(ROOT / directory / file) <= LIMITS[file]


def snapshot(root: Path) -> dict[str, str]:
    """All files of a clone and their texts, apart from what is kept out of git."""
    files = [path for path in root.rglob("*") if path.is_file() and ".local" not in path.parts]
    return {
        str(path.relative_to(root)): path.read_text() for path in files if path.suffix != ".pyc"
    }


def copy_model(clone: Path, source: str, target: str, renamed: bool) -> None:
    """What a user does to add a model: copies a directory and writes another name in it."""
    shutil.copytree(clone / source, clone / target, ignore=shutil.ignore_patterns("__pycache__"))
    old = setting(source, "MODEL_NAME")
    for file in LIMITS if renamed else ():
        text = (clone / target / file).read_text()
        text = text.replace(old, "fourth_model").replace(old.replace("_", "-"), "fourth-model")
        (clone / target / file).write_text(text)


def test_a_fourth_model_is_its_directory_and_one_word(clone: Path) -> None:
    copy_model(clone, MODEL_DIRS[0], "fourthModel", renamed=True)
    before = snapshot(clone)
    assert run("make", "-C", "all", "generate", cwd=clone).returncode == 0
    assert snapshot(clone) == before  # a directory alone changes nothing
    makefile = clone / "all" / "Makefile"
    makefile.write_text(
        makefile.read_text().replace("MODEL_DIRS := ", "MODEL_DIRS := fourthModel ")
    )
    assert run("make", "-C", "all", "generate", cwd=clone).returncode == 0
    after = snapshot(clone)
    changed = {file for file in after if after[file] != before.get(file)}
    assert changed == {"all/Makefile", "all/predict.py", "all/.s2i/environment"}
    added = "fourth_model/predict:finance_income_prediction.predict:predict_fourth_model"
    assert f"={added}," in after["all/.s2i/environment"]
    assert "from .fourthModel.predict import predict_fourth_model\n" in after["all/predict.py"]


def test_a_fourth_model_under_anothers_name_is_refused(clone: Path) -> None:
    source = MODEL_DIRS[0]
    copy_model(clone, source, "fourthModel", renamed=False)
    done = run("python3", "all/generate.py", "--check", source, "fourthModel", cwd=clone)
    refused = f"generate: route {route(source)[0]} is in both {source} and fourthModel; rename one of them\n"
    assert (done.returncode, done.stderr) == (78, refused)
