"""Test that a model answers as its file records, for one row and for batches."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime.message import Message
from sklearn.linear_model import LogisticRegression
from support.commands import ROOT, output_of, run
from support.models import MODEL_DIRS, setting

from utils.encode_decode import init_model
from utils.errors import ModelFileError
from utils.forms.onnx import to_onnx
from utils.model import Model
from utils.table.rows import InvalidInstances

NAMES = [setting(directory, "MODEL_NAME") for directory in MODEL_DIRS]
NAME = NAMES[0]


@pytest.fixture(scope="module")
def contents(trained: Path) -> dict[str, Any]:
    """The contents of one model file."""
    return init_model(NAME, trained / "models")


@pytest.fixture
def model(contents: dict[str, Any]) -> Model:
    """A separate model for the test."""
    return Model(contents)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_answers_its_golden_rows_as_recorded(trained: Path, name: str) -> None:
    model = Model(init_model(name, trained / "models"))
    golden = model.golden
    answer = model.predict(golden["instances"])
    assert list(answer) == ["predictions", "scores", "labels"]
    assert answer["predictions"] == golden["predictions"]
    assert answer["labels"] == [0, 1]
    np.testing.assert_allclose(answer["scores"], golden["scores"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(np.sum(answer["scores"], axis=1), 1, atol=1e-5, rtol=0)
    assert sorted(set(golden["predictions"])) == [0, 1]
    assert 0 < model.replay_golden() < 1


def with_golden(contents: dict[str, Any], **golden: Any) -> Model:
    """Return the model with other golden rows."""
    return Model({**contents, "golden": {**contents["golden"], **golden}})


@pytest.mark.parametrize("change", [0.0, 1e-6, -1e-6])
def test_golden_rows_are_replayed_if_scores_are_within_rounding(
    contents: dict[str, Any], change: float
) -> None:
    scores = np.array(contents["golden"]["scores"]) + change
    assert with_golden(contents, scores=scores.tolist()).replay_golden() > 0


@pytest.mark.parametrize("change", [3e-5, -3e-5, float("nan")])
@pytest.mark.parametrize("row", [0, -1])
def test_golden_rows_are_rejected_if_one_score_differs(
    contents: dict[str, Any], row: int, change: float
) -> None:
    scores = np.array(contents["golden"]["scores"])
    scores[row, 0] += change
    with pytest.raises(ModelFileError, match="self-check failed"):
        with_golden(contents, scores=scores.tolist()).replay_golden()


@pytest.mark.parametrize("more", [[0], [1, 1]])
def test_golden_rows_are_rejected_if_more_classes_are_recorded(
    contents: dict[str, Any], more: list[int]
) -> None:
    predictions = contents["golden"]["predictions"] + more
    with pytest.raises(ModelFileError, match="self-check failed"):
        with_golden(contents, predictions=predictions).replay_golden()


def test_a_model_without_golden_rows_is_rejected(contents: dict[str, Any]) -> None:
    with pytest.raises(ModelFileError) as caught:
        with_golden(contents, instances=[]).replay_golden()
    assert str(caught.value) == (
        f"model {NAME}: has no golden rows, so it cannot be checked. Train it again."
    )


def test_the_answer_does_not_depend_on_the_batch(model: Model) -> None:
    rows = model.golden["instances"]
    alone = [model.predict(row)["scores"][0] for row in rows]
    np.testing.assert_allclose(model.predict(rows * 9)["scores"], alone * 9, atol=1e-6, rtol=0)


def test_a_row_leaves_nothing_behind_for_the_next(contents: dict[str, Any]) -> None:
    model = Model(contents, ignore_unknown=True)
    rows = model.golden["instances"]
    expected = [model.predict(row)["scores"] for row in rows]

    sets_no_category = ["nowhere" if isinstance(value, str) else 0 for value in rows[0]]
    types = {type(value) for value in sets_no_category}
    assert types == {str, int}, "the control: the row has numbers and categories"

    invalid = [[*rows[0][:-1], ["no", "text"]], [*rows[0][:-1], None]]
    for row, scores in zip(rows, expected):
        model.predict(sets_no_category)
        for invalid_row in invalid:
            with pytest.raises(InvalidInstances):
                model.predict(invalid_row)
        assert model.predict(row)["scores"] == scores


def test_threads_that_predict_one_row_do_not_mix_their_answers(model: Model) -> None:
    rows = model.golden["instances"]
    expected = [model.predict(row)["scores"] for row in rows]
    assert len({str(scores) for scores in expected}) > 1, "the control: mixed answers would differ"

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(model.predict, rows * 300))
    assert [answer["scores"] for answer in found] == expected * 300


def test_answers_of_one_row_do_not_change_with_the_next(model: Model) -> None:
    """The memory of one row is reused, so an answer must be a copy."""
    rows = model.golden["instances"]
    first = model.predict(rows[:1])
    copy = {key: list(values) for key, values in first.items()}
    scores = {str(model.predict([row])["scores"]) for row in rows}
    assert len(scores) > 1, "the control: the rows have different answers"
    assert first == copy


def test_classes_may_be_texts(contents: dict[str, Any]) -> None:
    table = [[float(i), float(i % 7)] for i in range(60)]
    numbers = [1 if row[0] < 30 else 0 for row in table]
    fitted = LogisticRegression().fit(np.array(table, dtype=np.float32), numbers)
    parts = {
        **contents,
        "model": to_onnx(fitted, 2),
        "scaler": {"columns": [{"name": "a"}, {"name": "b"}]},
        "schema": {"classes": ["high", "low"]},
    }
    batches = (table[:1], table[-1:], [table[0], table[-1]])
    answers = [Model(parts).predict(rows)["predictions"] for rows in batches]
    assert answers == [["low"], ["high"], ["low", "high"]]


def test_an_empty_batch_has_an_empty_answer(model: Model) -> None:
    answer = model.answer(Message(payload={"instances": []}))
    assert answer == {"predictions": [], "scores": [], "labels": [0, 1]}


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        (None, "null"),
        ([1], "a list"),
        ("x", "'x'"),
        ({}, "keys "),
        ({"rows": [], "x": 1}, "keys rows, x"),
    ],
)
def test_a_payload_without_instances_is_rejected(model: Model, payload: Any, found: str) -> None:
    with pytest.raises(InvalidInstances) as caught:
        model.answer(Message(payload=payload))
    assert str(caught.value) == f'expected a payload {{"instances": [...]}}, found {found}'
    assert caught.value.path == "instances"


def test_an_unknown_category_is_rejected_unless_it_is_ignored(contents: dict[str, Any]) -> None:
    row = contents["golden"]["instances"][0]
    unknown = [
        "native-country_Atlantis" if str(value).startswith("native-country_") else value
        for value in row
    ]
    message = "^row 0: column 'native-country': expected one of 'native-country_"
    with pytest.raises(InvalidInstances, match=message):
        Model(contents).predict([unknown])
    answer = Model(contents, ignore_unknown=True).predict([unknown])
    assert len(answer["predictions"]) == 1


def imported_by(module: str) -> set[str]:
    """Return the modules of utils that importing `module` imports."""
    code = f"import sys, {module}; print(*(name for name in sys.modules if 'utils.' in name))"
    done = run(sys.executable, "-B", "-c", code, env={"PYTHONPATH": str(ROOT)})
    return {name for name in output_of(done).split() if name.startswith("utils.")}


def test_a_model_imports_nothing_of_serving_or_of_the_model_file() -> None:
    ours = {"utils.model", "utils.errors", "utils.table", "utils.forms", "utils.forms.session"}
    tables = ("categories", "columns", "dates", "encoder", "rows", "texts")
    ours |= {f"utils.table.{name}" for name in tables}
    assert imported_by("utils.model") == ours
    assert imported_by("utils.serving") > ours, "the control: serving imports more"


def files_left_in_home(home: Path, code: str) -> list[str]:
    """Return the files that some code leaves in its user's home, without a network."""
    unreachable = "http://127.0.0.1:9"
    variables = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "http_proxy": unreachable,
        "https_proxy": unreachable,
        "HTTPS_PROXY": unreachable,
    }
    settings = [f"{key}={value}" for key, value in variables.items()]
    output_of(run("env", "-i", *settings, sys.executable, "-c", code))
    return [path.name for path in home.rglob("*") if path.is_file()]


def test_onnx_runtime_sends_no_usage_data(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "control").mkdir()
    assert files_left_in_home(tmp_path / "ours", "import utils.model") == []
    # Its Linux wheels send usage data by default.
    if sys.platform == "linux":
        assert "onnxruntime.db" in files_left_in_home(tmp_path / "control", "import onnxruntime")
