"""Test that a model file is written only if the server can serve it."""

import os
from pathlib import Path
from typing import Any

import pytest
from runtime.message import Message
from sklearn.tree import DecisionTreeClassifier
from support.datasets import write_dataset

from common_utils import train_utils
from utils import encode_decode
from utils.errors import ModelFileError, TrainingError
from utils.training import record


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A train container's working directory with a table of missing values."""
    (tmp_path / "models").mkdir()
    write_dataset(tmp_path, "gaps")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train() -> None:
    """Train a small tree on the table."""
    payload = {"$ref": "data/gaps.csv", "model_name": "m"}
    train_utils.train_model(Message(payload=payload), DecisionTreeClassifier(max_depth=4), "A test")


def test_a_tree_without_branches_for_missing_values_is_not_written(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = train_utils.to_onnx

    def without_branches(estimator: Any, width: int, _: bool) -> bytes:
        return real(estimator, width)

    with monkeypatch.context() as patched:
        patched.setattr(train_utils, "to_onnx", without_branches)
        with pytest.raises(ModelFileError, match="the ONNX model and the estimator disagree"):
            train()
    assert os.listdir("models") == []
    train()
    assert os.listdir("models") == ["m.pkl"], "the control"


def test_a_graph_that_onnx_runtime_rejects_is_not_written(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_utils, "to_onnx", lambda *_: b"no graph")
    with pytest.raises(ModelFileError, match="model m: ONNX Runtime can't load it: "):
        train()
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
