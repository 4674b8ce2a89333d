"""Test the example of docs/model-files.md, which saves and loads a model itself."""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from runtime.endpoint import Endpoint
from runtime.message import Message
from support.commands import ROOT

import common_utils
from utils.encode_decode import init_model
from utils.errors import ModelFileError
from utils.serving import ServedModel

FILE = re.compile(r"^`([\w/]+\.py)`:\n\n```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# Together with the lines of requirements_predict.txt.
MOST_LINES = 25
REQUIRED = ["pandas", "scikit-learn"]


def example_files() -> dict[str, str]:
    """Return the files of the example."""
    return dict(FILE.findall((ROOT / "docs" / "model-files.md").read_text()))


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module `predict` of the example, whose model has been trained."""
    for name, text in example_files().items():
        folder = tmp_path if name.startswith("common_utils") else tmp_path / "mine"
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (tmp_path / "models").mkdir()
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    search = [*common_utils.__path__, str(tmp_path / "common_utils")]
    monkeypatch.setattr(common_utils, "__path__", search)
    payload = {"$ref": "data/adult_income-prepped.csv", "model_name": "mine"}
    metrics = importlib.import_module("mine.train").train(Message(payload=payload))
    assert metrics["accuracy"] > 0.7 and metrics["rows_compared"] == 14653
    yield importlib.import_module("mine.predict")
    for name in ("mine", "mine.train", "mine.predict", "common_utils.keywords"):
        sys.modules.pop(name, None)


def test_the_example_has_few_lines() -> None:
    lines = [line for text in example_files().values() for line in text.splitlines() if line]
    assert list(example_files()) == ["common_utils/keywords.py", "train.py", "predict.py"]
    assert len(lines) + len(REQUIRED) <= MOST_LINES


def test_the_example_serves_rows_as_lists_and_as_objects(example: ModuleType) -> None:
    contents = init_model("mine")
    assert (contents["engine"], list(contents["requires"])) == ("own", REQUIRED)
    endpoint = Endpoint("mine", example.predict_mine)
    assert endpoint.obstacle == "not loaded yet"
    endpoint.refresh()
    assert endpoint.obstacle == ""
    rows = contents["golden"]["instances"]
    names = [column["name"] for column in contents["schema"]["columns"]]
    expected = contents["golden"]["predictions"]
    for instances in (rows, [dict(zip(names, row)) for row in rows]):
        answer = example.predict_mine(Message(payload={"instances": instances}))
        assert answer["predictions"] == expected
        assert answer["scores"] == contents["golden"]["scores"]
    assert set(expected) == {0, 1}


def test_a_model_without_its_function_is_not_ready_by_name(example: ModuleType) -> None:
    with pytest.raises(ModelFileError) as caught:
        ServedModel("mine").refresh()
    assert str(caught.value) == (
        "model mine: train.py saves it with a function of its own. "
        "Write the function that loads it into predict.py: @served(..., load=...)"
    )
