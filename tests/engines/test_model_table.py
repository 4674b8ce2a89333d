"""engines/model_table.py: the metrics of model files, as a table."""

import sys
from pathlib import Path

import pytest
from support.commands import ROOT, Completed, run

from utils.encode_decode import pickle_model


def table(*files: str | Path) -> Completed:
    """Run model_table.py on a Python without packages."""
    return run(sys.executable, "-S", ROOT / "engines/model_table.py", *files)


def model(directory: Path, name: str, accuracy: float) -> Path:
    """Write a model file and return its path."""
    metrics = {"accuracy": accuracy, "auc": 0.5, "log_loss": 1 / 3}
    contents = {
        "model": b"x" * 2000,
        "scaler": {},
        "modelName": name,
        "schema": {},
        "golden": {},
        "metrics": metrics,
    }
    return pickle_model(contents, directory)


def test_the_table_shows_each_models_figures(tmp_path: Path) -> None:
    done = table(model(tmp_path, "house_lr", 0.8661), model(tmp_path, "house_rf", 1))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "     model               accuracy       auc  log_loss        KB\n"
        "     house_lr              0.8661    0.5000    0.3333         2\n"
        "     house_rf              1.0000    0.5000    0.3333         2\n"
    )


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    broken = model(tmp_path, "house_lr", 0.9)
    broken.write_bytes(broken.read_bytes().replace(b"xxx", b"xyx"))
    done = table(broken)
    assert (done.returncode, "Traceback" in done.stderr) == (78, False)
    assert done.stderr.startswith(f"model_table: {broken}: ")


@pytest.mark.parametrize("name", ["missing.pkl", "*.pkl"])
def test_a_model_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    done = table(tmp_path / name)
    assert (done.returncode, "Traceback" in done.stderr) == (78, False)
    assert done.stderr.startswith("model_table: ")
    assert name.removesuffix(".pkl") in done.stderr
