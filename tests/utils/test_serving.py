"""Serving: a model answers as its file says, a bad file never replaces a good one, names follow the variables."""

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MODEL_DIRS, ROOT, run, setting
from runtime.message import Message
from sklearn.linear_model import LogisticRegression

from utils.encode_decode import ModelFileError, init_model, pickle_model
from utils.forms.onnx import to_onnx
from utils.serving import Model, ServedModel, Unavailable, model_name, served
from utils.table_encoder import InvalidInstances

NAMES = [setting(directory, "MODEL_NAME") for directory in MODEL_DIRS]
NAME = NAMES[0]
LIES = f"model {NAME}: answers its golden rows otherwise than when it was trained"


@pytest.fixture
def models(trained: Path, tmp_path: Path) -> Path:
    """A models folder of the test's own, with one sound model."""
    shutil.copy(trained / "models" / f"{NAME}.pkl", tmp_path)
    return tmp_path


def contents(models: Path) -> dict[str, Any]:
    """What the sound model's file holds, to be changed and written again."""
    found = init_model(NAME, models)
    del found["digest"]
    return found


def problem(model: ServedModel) -> str:
    """Why refresh() can't bring the model up to date."""
    with pytest.raises(ModelFileError) as caught:
        model.refresh()
    return str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_answers_its_golden_rows_as_recorded(trained: Path, name: str) -> None:
    model = Model(init_model(name, trained / "models"))
    golden = model.golden
    answer = model.predict(golden["instances"])
    assert list(answer) == ["predictions", "scores", "labels"]
    assert (answer["predictions"], answer["labels"]) == (golden["predictions"], [0, 1])
    np.testing.assert_allclose(answer["scores"], golden["scores"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(np.sum(answer["scores"], axis=1), 1, atol=1e-5, rtol=0)
    assert sorted(set(golden["predictions"])) == [0, 1]
    assert 0 < model.replay_golden() < 1


def test_the_answer_does_not_depend_on_the_batch(trained: Path) -> None:
    model = Model(init_model(NAME, trained / "models"))
    rows = model.golden["instances"]
    alone = [model.predict(row)["scores"][0] for row in rows]
    np.testing.assert_allclose(model.predict(rows * 9)["scores"], alone * 9, atol=1e-6, rtol=0)


def test_a_row_leaves_nothing_behind_for_the_next(trained: Path) -> None:
    model = Model(init_model(NAME, trained / "models"), ignore_unknown=True)
    rows = model.golden["instances"]
    expected = [model.predict(row)["scores"] for row in rows]
    strange = ["nowhere" if isinstance(value, str) else 0 for value in rows[0]]
    bad = [[*rows[0][:-1], ["no", "text"]], [*rows[0][:-1], None]]
    assert {type(value) for value in strange} == {str, int}, (
        "the control: this row sets no category"
    )
    for row, scores in zip(rows, expected):
        model.predict(strange)
        for refused in bad:
            with pytest.raises(InvalidInstances):
                model.predict(refused)
        assert model.predict(row)["scores"] == scores


def test_threads_that_ask_for_one_row_do_not_mix_their_answers(trained: Path) -> None:
    model = Model(init_model(NAME, trained / "models"))
    rows = model.golden["instances"]
    expected = [model.predict(row)["scores"] for row in rows]
    assert len({str(scores) for scores in expected}) > 1, "the control: mixed answers would be seen"
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(model.predict, rows * 300))
    assert [answer["scores"] for answer in found] == expected * 300


def test_classes_may_be_texts(trained: Path) -> None:
    table = [[float(i), float(i % 7)] for i in range(60)]
    texts = np.array(["low" if row[0] < 30 else "high" for row in table])
    model = to_onnx(LogisticRegression().fit(np.array(table, dtype=np.float32), texts), 2)
    parts = {**init_model(NAME, trained / "models"), "model": model}
    parts.update(
        scaler={"columns": [{"name": "a"}, {"name": "b"}]}, schema={"classes": ["high", "low"]}
    )
    answers = [
        Model(parts).predict(rows)["predictions"]
        for rows in (table[:1], table[-1:], [table[0], table[-1]])
    ]
    assert answers == [["low"], ["high"], ["low", "high"]]


def test_an_empty_batch_has_an_empty_answer(models: Path) -> None:
    answer = Model(init_model(NAME, models)).answer(Message(payload={"instances": []}))
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
def test_a_payload_without_instances_is_refused(models: Path, payload: Any, found: str) -> None:
    model = Model(init_model(NAME, models))
    with pytest.raises(InvalidInstances) as caught:
        model.answer(Message(payload=payload))
    assert str(caught.value) == f'expected a payload {{"instances": [...]}}, found {found}'
    assert caught.value.path == "instances"


def test_an_unknown_category_is_refused_unless_it_is_ignored(models: Path) -> None:
    row = contents(models)["golden"]["instances"][0]
    unknown = [
        "native-country_Atlantis" if str(value).startswith("native-country_") else value
        for value in row
    ]
    with pytest.raises(
        InvalidInstances, match="^row 0: column 'native-country': expected one of 'native-country_"
    ):
        Model(init_model(NAME, models)).predict([unknown])
    assert (
        len(Model(init_model(NAME, models), ignore_unknown=True).predict([unknown])["predictions"])
        == 1
    )


def test_a_missing_model_is_unavailable_until_it_appears(trained: Path, tmp_path: Path) -> None:
    model = ServedModel(NAME, str(tmp_path))
    message = f"{tmp_path / NAME}.pkl: no such file; train the model first (make train)"
    assert (problem(model), problem(model), model.ready) == (message, message, False)
    with pytest.raises(Unavailable) as caught:
        model.current()
    assert (str(caught.value), caught.value.status) == (message, 503)
    shutil.copy(trained / "models" / f"{NAME}.pkl", tmp_path)
    model.refresh()
    assert model.ready
    assert model.info == {"model": NAME, "digest": init_model(NAME, tmp_path)["digest"]}
    assert model.quick_bytes > 100


def test_refresh_loads_only_a_file_that_has_changed(models: Path) -> None:
    model = ServedModel(NAME, str(models))
    model.refresh()
    first = model.current()
    model.refresh()
    assert model.current() is first
    pickle_model({**contents(models), "modelDescription": "another"}, models)
    model.refresh()
    assert model.current().digest == init_model(NAME, models)["digest"] != first.digest


def lying(models: Path) -> None:
    changed = contents(models)
    changed["golden"]["predictions"][0] = 1 - changed["golden"]["predictions"][0]
    pickle_model(changed, models)


def slightly_lying(models: Path) -> None:
    changed = contents(models)
    changed["golden"]["scores"][0][0] += 3e-5
    pickle_model(changed, models)


def with_golden(**golden: Any) -> Any:
    """Writes the model again with other golden rows."""

    def write(models: Path) -> None:
        changed = contents(models)
        changed["golden"].update(golden)
        pickle_model(changed, models)

    return write


def damaged(models: Path) -> None:
    content = (models / f"{NAME}.pkl").read_bytes()
    (models / f"{NAME}.pkl").write_bytes(content[: len(content) // 2])


def without_onnx(models: Path) -> None:
    pickle_model({**contents(models), "model": b"no ONNX"}, models)


def with_another_width(models: Path) -> None:
    changed = contents(models)
    changed["scaler"]["columns"].pop()
    pickle_model(changed, models)


BAD_FILES = {
    "damaged": (damaged, " is not a model file of this repository "),
    "removed": (
        lambda models: (models / f"{NAME}.pkl").unlink(),
        ": no such file; train the model first",
    ),
    "directory": (
        lambda models: (models / f"{NAME}.pkl").unlink() or (models / f"{NAME}.pkl").mkdir(),
        "regular file",
    ),
    "another prediction": (lying, f"{LIES} (scores differ by 0.00000); "),
    "another score": (slightly_lying, f"{LIES} (scores differ by 0.00003); "),
    "an answer too few": (with_golden(predictions=[]), LIES),
    "scores of another shape": (with_golden(scores=[[0.5, 0.5]] * 2), LIES),
    "scores that are no numbers": (with_golden(scores="?"), LIES),
    "a bad golden row": (with_golden(instances=[["x"]]), f"model {NAME}: "),
    "no ONNX": (without_onnx, f"model {NAME}: can't be loaded: "),
    "another width": (with_another_width, f"model {NAME}: "),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_keeps_the_good_model_and_its_problem_is_repeated(
    models: Path, kind: str
) -> None:
    spoil, message = BAD_FILES[kind]
    model = ServedModel(NAME, str(models))
    good = model.current()
    sound = contents(models)
    spoil(models)
    first, second = problem(model), problem(model)
    assert (message in first, second) == (True, first)
    assert model.ready and model.current() is good
    shutil.rmtree(models / f"{NAME}.pkl", ignore_errors=True)
    pickle_model({**sound, "modelDescription": "another"}, models)
    model.refresh()
    assert model.current() is not good


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_never_served_first(models: Path, kind: str) -> None:
    BAD_FILES[kind][0](models)
    with pytest.raises(Unavailable):
        ServedModel(NAME, str(models)).current()


def test_a_score_within_rounding_is_the_same_answer(models: Path) -> None:
    changed = contents(models)
    changed["golden"]["scores"][0][0] += 1e-6
    pickle_model(changed, models)
    ServedModel(NAME, str(models)).refresh()


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "written"),
        ({"MODElNAME": "document"}, "document"),
        ({"MODEL_NAME": "alias"}, "alias"),
        ({"MODElNAME": "document", "MODEL_NAME": "alias"}, "document"),
        ({"MODElNAME": "", "MODEL_NAME": ""}, "written"),
        ({"MODElNAME": "document", "ROUTES": "a:b:c"}, "document"),
        ({"MODElNAME": "document", "MODEL_NAME": "alias", "ROUTES": "a:b:c, d:e:f"}, "written"),
    ],
)
def test_a_variable_names_the_model_of_an_image_with_one_route(
    variables: dict[str, str], name: str
) -> None:
    assert model_name("written", variables) == name


def test_served_puts_a_model_behind_a_function(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a predict.py is: it opens models/NAME.pkl of the working directory."""
    (models / "models").mkdir()
    (models / f"{NAME}.pkl").rename(models / "models" / f"{NAME}.pkl")
    monkeypatch.chdir(models)

    @served(NAME)
    def predict(msg: Any, model: Model) -> dict[str, Any]:
        """Answers."""
        return {"predictions": model.answer(msg)["predictions"], "name": model.name}

    rows = init_model(NAME)["golden"]["instances"]
    assert (predict.__name__, predict.__doc__) == ("predict", "Answers.")
    assert not predict.hook.ready  # type: ignore[attr-defined]
    answer = predict(Message(payload={"instances": rows}))
    assert answer == {"predictions": init_model(NAME)["golden"]["predictions"], "name": NAME}
    assert predict.hook.ready  # type: ignore[attr-defined]


def test_served_reads_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    def function(msg: Any, model: Model) -> dict[str, Any]:
        return {}

    assert (served("m")(function).hook.name, served("m")(function).hook.ignore_unknown) == (
        "m",
        False,
    )
    monkeypatch.setenv("MODElNAME", "other")
    monkeypatch.setenv("UNKNOWN", "ignore")
    assert (served("m")(function).hook.name, served("m")(function).hook.ignore_unknown) == (
        "other",
        True,
    )


def left_at_home(home: Path, code: str) -> list[str]:
    """The files that some code leaves in its user's home; it can reach no network."""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")
    variables = {"HOME": str(home), "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], **nowhere}
    done = run(
        "env",
        "-i",
        *(f"{key}={value}" for key, value in variables.items()),
        sys.executable,
        "-c",
        code,
    )
    assert done.returncode == 0, done.stderr
    return [path.name for path in home.rglob("*") if path.is_file()]


def test_onnx_runtime_sends_no_usage_data(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "control").mkdir()
    assert left_at_home(tmp_path / "ours", "import utils.serving") == []
    if sys.platform == "linux":  # what its wheels do by themselves
        assert "onnxruntime.db" in left_at_home(tmp_path / "control", "import onnxruntime")
