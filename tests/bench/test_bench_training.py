"""bench-train: a slowed train function is seen, a failed one is named, larger tables are larger; tune's choice."""

import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, make_clone

sys.path.insert(0, str(ROOT / "bench"))
import training  # noqa: E402
from tune import CHANGES, Scores, chosen  # noqa: E402

MODEL = "logisticRegression"
DELAY = "    import time; time.sleep(5)\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data, once."""
    return training.make_table(tmp_path_factory.mktemp("table") / "1", 1)


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The train.py of a copy of the repository, which the benchmark measures in the checkout's place."""
    monkeypatch.setattr(training, "ROOT", make_clone(tmp_path))
    return training.ROOT / MODEL / "train.py"


def test_every_kind_is_measured_and_the_parts_lie_within_the_whole(folder: Path) -> None:
    runs = {kind: [training.once(kind, MODEL, folder)] for kind in training.KINDS}
    own = runs["ours"][0]
    assert 0 < own["to_onnx"] + own["compare"] < own["train"]
    assert all(
        run["peak MB"] > 50 and run["cores"] > 0 for run in (run[0] for run in runs.values())
    )
    assert (folder / "models/bench.pkl").exists() and (folder / "models/document.pkl").exists()
    assert training.line(MODEL, runs)["model"] == MODEL


def test_a_slowed_train_function_is_seen(folder: Path, broken: Path) -> None:
    text = broken.read_text()
    broken.write_text(text.replace("    estimator =", DELAY + "    estimator ="))
    slow = training.once("ours", MODEL, folder)
    assert slow["train"] - slow["to_onnx"] - slow["compare"] > 5
    assert training.once("least", MODEL, folder)["train"] < slow["train"]


def test_a_train_function_that_fails_is_named(folder: Path, broken: Path) -> None:
    broken.write_text("def train(msg):\n    raise MemoryError('no room')\n\n\ntrain_model = None\n")
    with pytest.raises(
        RuntimeError, match="(?s)logisticRegression, ours: exit code 1: .*its train function failed"
    ):
        training.once("ours", MODEL, folder)


def test_a_slower_training_fails_its_goals() -> None:
    run = {"to_onnx": 0.1, "compare": 0.1, "start": 1.0, "cores": 2.0, "peak MB": 100.0}
    runs = {
        "ours": [{**run, "train": 4.0}],
        "least": [{**run, "train": 2.0}],
        "document": [{**run, "train": 3.0}],
    }
    line = training.line(MODEL, runs)
    assert [line["of read + fit"], line[f"at most {training.GOAL}"]] == ["2.00 (2.00-2.00)", "no"]
    assert [line["times the document's speed"], line["at least 1"]] == ["0.75 (0.75-0.75)", "no"]


def test_a_larger_table_has_as_many_rows_and_noise(folder: Path, tmp_path: Path) -> None:
    one = pd.read_csv(folder / "data/table.csv")
    two = pd.read_csv(training.make_table(tmp_path / "2", 2) / "data/table.csv")
    assert (len(two), list(two)) == (2 * len(one), list(one))
    assert (two[: len(one)] == one).all(axis=None)
    assert (two["fnlwgt"][len(one) :].to_numpy() != one["fnlwgt"].to_numpy()).all()


def test_a_committed_setting_that_is_clearly_worse_is_not_chosen() -> None:
    committed = Scores([0.87] * 4, [0.30, 0.31, 0.30, 0.31])
    tried = {"as committed": committed, "C=1": Scores([0.87] * 4, [0.28, 0.29, 0.28, 0.288])}
    assert chosen(tried, "as committed") == "C=1"


def test_a_difference_within_the_folds_spread_chooses_nothing_new() -> None:
    committed = Scores([0.87] * 4, [0.30, 0.31, 0.30, 0.31])
    tried = {"as committed": committed, "C=1": Scores([0.87] * 4, [0.29, 0.32, 0.28, 0.315])}
    assert chosen(tried, "as committed") == "as committed"
    assert chosen({"as committed": committed}, "as committed") == "as committed"


def test_the_committed_settings_of_every_model_are_tried() -> None:
    assert sorted(CHANGES) == training.models()
    assert all({} in changes for changes in CHANGES.values())
