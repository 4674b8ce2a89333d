"""bench-train: slow training, failed training, larger tables; the choice of tune."""

import sys
from pathlib import Path

import pandas as pd
import pytest
from support.clones import make_clone
from support.commands import ROOT
from support.models import FASTEST, MODEL_DIRS

sys.path.insert(0, str(ROOT / "bench"))
import training  # noqa: E402
from tune import CHANGES, COMMITTED, Scores, choose  # noqa: E402

DELAY_SECONDS = 5
DELAY = f"    import time; time.sleep({DELAY_SECONDS})\n"
COMMITTED_SCORES = Scores([0.87] * 4, [0.30, 0.31, 0.30, 0.31])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that contains one copy of the data."""
    return training.make_table(tmp_path_factory.mktemp("table") / "1", 1)


@pytest.fixture
def train_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The train.py of a clone. The benchmark measures this clone."""
    clone = make_clone(tmp_path)
    monkeypatch.setattr(training, "ROOT", clone)
    return clone / FASTEST / "train.py"


def test_every_kind_is_measured_and_parts_take_less_than_the_total(folder: Path) -> None:
    runs = {kind: [training.once(kind, FASTEST, folder)] for kind in training.KINDS}
    own = runs["ours"][0]
    assert 0 < own["to_onnx"] + own["compare"] < own["train"]

    for (run,) in runs.values():
        assert run["peak MB"] > 50
        assert run["cores"] > 0
    for name in ("bench", "document"):
        assert (folder / "models" / f"{name}.pkl").exists()
    assert training.line(FASTEST, runs)["model"] == FASTEST


def test_slowed_train_function_is_seen(folder: Path, train_file: Path) -> None:
    text = train_file.read_text()
    delayed = text.replace("    estimator =", DELAY + "    estimator =")
    assert delayed != text
    train_file.write_text(delayed)

    slow = training.once("ours", FASTEST, folder)
    assert slow["train"] - slow["to_onnx"] - slow["compare"] > DELAY_SECONDS
    assert training.once("least", FASTEST, folder)["train"] < slow["train"]


def test_failed_train_function_is_named(folder: Path, train_file: Path) -> None:
    failing = "def train(msg):\n    raise MemoryError('no room')\n\n\ntrain_model = None\n"
    train_file.write_text(failing)
    expected = "(?s)logisticRegression, ours: exit code 1: .*its train function failed"
    with pytest.raises(RuntimeError, match=expected):
        training.once("ours", FASTEST, folder)


def test_slower_training_misses_its_goals() -> None:
    run = {"to_onnx": 0.1, "compare": 0.1, "start": 1.0, "cores": 2.0, "peak MB": 100.0}
    runs = {
        "ours": [{**run, "train": 4.0}],
        "least": [{**run, "train": 2.0}],
        "document": [{**run, "train": 3.0}],
    }
    line = training.line(FASTEST, runs)
    assert line["of read + fit"] == "2.00 (2.00-2.00)"
    assert line[f"at most {training.GOAL}"] == "no"
    assert line["times the document's speed"] == "0.75 (0.75-0.75)"
    assert line["at least 1"] == "no"


def test_larger_table_has_as_many_times_the_rows_and_noise(folder: Path, tmp_path: Path) -> None:
    one = pd.read_csv(folder / "data/table.csv")
    two = pd.read_csv(training.make_table(tmp_path / "2", 2) / "data/table.csv")
    assert len(two) == 2 * len(one)
    assert list(two) == list(one)
    assert (two[: len(one)] == one).all(axis=None)
    assert (two["fnlwgt"][len(one) :].to_numpy() != one["fnlwgt"].to_numpy()).all()


def test_tune_chooses_a_setting_that_is_clearly_better() -> None:
    better = Scores([0.87] * 4, [0.28, 0.29, 0.28, 0.288])
    assert choose({COMMITTED: COMMITTED_SCORES, "C=1": better}, COMMITTED) == "C=1"


def test_tune_keeps_the_committed_setting_within_the_folds_spread() -> None:
    similar = Scores([0.87] * 4, [0.29, 0.32, 0.28, 0.315])
    assert choose({COMMITTED: COMMITTED_SCORES, "C=1": similar}, COMMITTED) == COMMITTED
    assert choose({COMMITTED: COMMITTED_SCORES}, COMMITTED) == COMMITTED


def test_tune_tries_the_committed_settings_of_every_model() -> None:
    assert sorted(CHANGES) == MODEL_DIRS
    assert all({} in changes for changes in CHANGES.values())
