"""Test that a model file is written only if the server can serve it."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from runtime.message import Message
from sklearn.linear_model import LogisticRegression
from sklearn.svm import NuSVC
from sklearn.tree import DecisionTreeClassifier
from support.commands import ROOT
from support.datasets import write_dataset

from common_utils import train_utils
from utils import encode_decode
from utils.errors import ModelFileError, TrainingError
from utils.training import form, record


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A train container's working directory with a table of missing values."""
    (tmp_path / "models").mkdir()
    write_dataset(tmp_path, "gaps")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(estimator: Any = None) -> dict[str, Any]:
    """Train a small tree on the table and return the contents of the model file."""
    payload = {"$ref": "data/gaps.csv", "model_name": "m"}
    tree = DecisionTreeClassifier(max_depth=4)
    train_utils.train_model(Message(payload=payload), estimator or tree, "A test")
    return encode_decode.init_model("m")


def test_a_tree_without_branches_for_missing_values_takes_the_complete_form(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = form.to_onnx

    def without_branches(estimator: Any, width: int, _: bool) -> bytes:
        return real(estimator, width)

    with monkeypatch.context() as patched:
        patched.setattr(form, "to_onnx", without_branches)
        assert train()["engine"] == "skops"
    assert "Reason: the answers of the ONNX model differ: " in capsys.readouterr().out
    assert "engine" not in train(), "the control"


def test_a_graph_that_onnx_runtime_rejects_takes_the_complete_form(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(form, "to_onnx", lambda *_: b"no graph")
    assert train()["engine"] == "skops"
    assert "Reason: ONNX Runtime can't load it (" in capsys.readouterr().out


class Shifted(DecisionTreeClassifier):
    """A tree whose answers change if it is saved and loaded."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "classes_": state["classes_"][::-1]})


class NotRestored(DecisionTreeClassifier):
    """A tree with an attribute that no form can restore."""

    def fit(self, *data: Any, **options: Any) -> "NotRestored":
        super().fit(*data, **options)
        self.lock_ = threading.Lock()
        return self


@pytest.mark.parametrize(
    ("estimator", "reason"),
    [
        (NotRestored(max_depth=4), "skops can't load it ("),
        (Shifted(max_depth=4), "the answers of the saved model differ: "),
    ],
    ids=["can't be loaded", "differs"],
)
def test_an_estimator_that_no_form_takes_is_not_written(
    project: Path, estimator: Any, reason: str
) -> None:
    with pytest.raises(ModelFileError) as caught:
        train(estimator)
    message = str(caught.value)
    assert message.startswith("model m: no form takes it: ")
    assert f"; {reason}" in message
    title = "A model that cannot be converted"
    advice = "Save and load the estimator with code of your own"
    assert message.endswith(f"Nothing was written. {advice} (docs/model-files.md, '{title}').")
    assert f"## {title}\n" in (ROOT / "docs/model-files.md").read_text()
    assert os.listdir("models") == []


def test_a_model_without_golden_rows_is_not_written(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "valid_rows", lambda *_: [])
    with pytest.raises(TrainingError, match="it rejects all rows of its own data"):
        train()
    assert os.listdir("models") == []


def test_a_file_that_is_too_large_to_be_read_is_not_written(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode_decode, "MAX_BYTES", 2000)
    with pytest.raises(ModelFileError, match="At most 2,000 can be read. Use a smaller estimator"):
        train()
    assert os.listdir("models") == []


class Broken(LogisticRegression):
    """An estimator of an author, with an error in its code."""

    def fit(self, *_: Any, **__: Any) -> None:
        """Fail."""
        raise ValueError("a bug")


def test_an_error_of_a_library_in_fit_has_a_short_message(project: Path) -> None:
    with pytest.raises(TrainingError) as caught:
        train(NuSVC(nu=1.0))
    assert str(caught.value) == (
        "NuSVC cannot be fitted: b'specified nu is infeasible'. "
        "Change its settings, or use another one."
    )
    with pytest.raises(ValueError, match="a bug") as control:
        train(Broken())
    assert type(control.value) is ValueError, "an error in an author's code keeps its traceback"
