"""Test that a served model is reloaded, but never replaced by an invalid file."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from runtime.message import Message
from support.models import MODEL_DIRS, setting

from utils.encode_decode import init_model, pickle_model
from utils.errors import ModelFileError
from utils.model import Model
from utils.serving import ServedModel, Unavailable, model_name, served

NAME = setting(MODEL_DIRS[0], "MODEL_NAME")
DIFFERS = (
    f"model {NAME}: self-check failed: predictions for the golden rows differ from those at "
    "training"
)


@pytest.fixture
def models(trained: Path, tmp_path: Path) -> Path:
    """A separate models folder for the test, with one valid model."""
    shutil.copy(trained / "models" / f"{NAME}.pkl", tmp_path)
    return tmp_path


def contents(models: Path) -> dict[str, Any]:
    """Return the contents of the valid file, to be changed and written again."""
    found = init_model(NAME, models)
    del found["digest"]
    return found


def problem(model: ServedModel) -> str:
    """Return the reason why refresh() can't load the file."""
    with pytest.raises(ModelFileError) as caught:
        model.refresh()
    return str(caught.value)


def test_a_missing_model_is_unavailable_until_it_appears(trained: Path, tmp_path: Path) -> None:
    model = ServedModel(NAME, str(tmp_path))
    message = f"{tmp_path / NAME}.pkl: no such file. Train the model first (make train)."
    assert problem(model) == message
    assert problem(model) == message
    assert not model.ready
    with pytest.raises(Unavailable) as caught:
        model.current()
    assert str(caught.value) == message
    assert caught.value.status == 503

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


def write_another_prediction(models: Path) -> None:
    changed = contents(models)
    changed["golden"]["predictions"][0] = 1 - changed["golden"]["predictions"][0]
    pickle_model(changed, models)


def write_another_score(models: Path) -> None:
    changed = contents(models)
    changed["golden"]["scores"][0][0] += 3e-5
    pickle_model(changed, models)


def with_golden(**golden: Any) -> Any:
    """Return a function that writes the model with other golden rows."""

    def write(models: Path) -> None:
        changed = contents(models)
        changed["golden"].update(golden)
        pickle_model(changed, models)

    return write


def truncate(models: Path) -> None:
    content = (models / f"{NAME}.pkl").read_bytes()
    (models / f"{NAME}.pkl").write_bytes(content[: len(content) // 2])


def write_without_onnx(models: Path) -> None:
    pickle_model({**contents(models), "model": b"no ONNX"}, models)


def write_with_another_width(models: Path) -> None:
    changed = contents(models)
    changed["scaler"]["columns"].pop()
    pickle_model(changed, models)


def remove(models: Path) -> None:
    (models / f"{NAME}.pkl").unlink()


def replace_by_directory(models: Path) -> None:
    remove(models)
    (models / f"{NAME}.pkl").mkdir()


BAD_FILES = {
    "damaged": (truncate, " is not a model file of this repository "),
    "removed": (remove, ": no such file. Train the model first"),
    "directory": (replace_by_directory, "regular file"),
    "another prediction": (write_another_prediction, f"{DIFFERS} (largest difference 0.00000). "),
    "another score": (write_another_score, f"{DIFFERS} (largest difference 0.00003). "),
    "an answer too few": (with_golden(predictions=[]), DIFFERS),
    "scores of another shape": (with_golden(scores=[[0.5, 0.5]] * 2), DIFFERS),
    "scores that are no numbers": (with_golden(scores="?"), DIFFERS),
    "a bad golden row": (with_golden(instances=[["x"]]), f"model {NAME}: "),
    "no ONNX": (write_without_onnx, f"model {NAME}: can't be loaded: "),
    "another width": (write_with_another_width, f"model {NAME}: "),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_keeps_the_good_model_and_its_problem_is_repeated(
    models: Path, kind: str
) -> None:
    corrupt, message = BAD_FILES[kind]
    model = ServedModel(NAME, str(models))
    good = model.current()
    valid = contents(models)

    corrupt(models)
    first_problem = problem(model)
    assert message in first_problem
    assert problem(model) == first_problem
    assert model.ready
    assert model.current() is good

    shutil.rmtree(models / f"{NAME}.pkl", ignore_errors=True)
    pickle_model({**valid, "modelDescription": "another"}, models)
    model.refresh()
    assert model.current() is not good


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_unavailable_without_a_good_one_before(models: Path, kind: str) -> None:
    corrupt, _ = BAD_FILES[kind]
    corrupt(models)
    with pytest.raises(Unavailable):
        ServedModel(NAME, str(models)).current()


def test_a_file_is_served_if_a_score_is_within_rounding(models: Path) -> None:
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


def test_served_passes_a_model_to_the_function(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A predict.py opens models/NAME.pkl in the working directory."""
    (models / "models").mkdir()
    (models / f"{NAME}.pkl").rename(models / "models" / f"{NAME}.pkl")
    monkeypatch.chdir(models)

    @served(NAME)
    def predict(msg: Any, model: Model) -> dict[str, Any]:
        """Return the predictions and the name."""
        return {"predictions": model.answer(msg)["predictions"], "name": model.name}

    rows = init_model(NAME)["golden"]["instances"]
    assert (predict.__name__, predict.__doc__) == (
        "predict",
        "Return the predictions and the name.",
    )
    assert not predict.hook.ready  # type: ignore[attr-defined]
    answer = predict(Message(payload={"instances": rows}))
    assert answer == {"predictions": init_model(NAME)["golden"]["predictions"], "name": NAME}
    assert predict.hook.ready  # type: ignore[attr-defined]


def test_served_reads_the_variables_when_it_decorates(monkeypatch: pytest.MonkeyPatch) -> None:
    def function(msg: Any, model: Model) -> dict[str, Any]:
        return {}

    hook = served("m")(function).hook  # type: ignore[attr-defined]
    assert hook.name == "m"
    assert not hook.ignore_unknown

    monkeypatch.setenv("MODElNAME", "other")
    monkeypatch.setenv("UNKNOWN", "ignore")
    hook = served("m")(function).hook  # type: ignore[attr-defined]
    assert hook.name == "other"
    assert hook.ignore_unknown
