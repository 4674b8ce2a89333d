"""Metrics by group: those of the group's own rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runtime.message import Message
from sklearn.linear_model import LinearRegression
from sklearn.metrics import accuracy_score, mean_absolute_error
from sklearn.tree import DecisionTreeClassifier

from common_utils.train_utils import train_model
from utils.dataset.read import read_dataset
from utils.encode_decode import init_model
from utils.model import Model
from utils.training.score import GROUPS
from utils.training.split import split

ROWS = 900
DESCRIPTION = 'label = "y"\ngroups = ["region", "n"]\nignore = ["region"]\n'


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Write a table in which one region is easy to predict, another one random.

    Some rows have no region, and the number n has more values than there are groups.
    """
    (tmp_path / "models").mkdir()
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    number = np.arange(ROWS) % 70
    region = np.array(["easy", "random", ""])[np.arange(ROWS) % 3]
    label = np.where(region == "easy", number > 35, random.random(ROWS) > 0.5).astype(int)
    table = pd.DataFrame({"n": number, "region": region, "y": label})
    table.to_csv("data/t.csv", index=False)
    Path("data/t.toml").write_text(DESCRIPTION)
    return table


def trained(estimator: Any) -> dict[str, Any]:
    """Train an estimator and return the contents of the model file."""
    payload = {"$ref": "data/t.csv", "model_name": "m"}
    metrics = train_model(Message(payload=payload), estimator, "A test")
    assert "groups" not in metrics
    return init_model("m")


def held_out_by_region() -> dict[str, pd.DataFrame]:
    """Return the held-out rows of each region."""
    held_out = split(*read_dataset(Path("data/t.csv"))).held_out
    names = held_out["region"].fillna("missing")
    return {name: held_out[names == name] for name in ("easy", "random", "missing")}


def test_groups_have_the_metrics_of_their_own_rows(
    data: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = trained(DecisionTreeClassifier(max_depth=3, random_state=0))
    found = contents["groups"]["region"]
    rows = held_out_by_region()
    assert set(found) == set(rows)
    model = Model(contents)
    for name, part in rows.items():
        answers = model.predict([{"n": int(n)} for n in part["n"]])["predictions"]
        assert found[name]["rows"] == len(part)
        assert found[name]["accuracy"] == pytest.approx(accuracy_score(part["y"], answers))
    assert found["easy"]["accuracy"] > found["random"]["accuracy"] + 0.2
    easy = f"region = easy: {len(rows['easy'])} rows, accuracy {found['easy']['accuracy']:.4f}"
    assert easy in capsys.readouterr().out


def test_groups_of_a_regression_have_its_metrics(data: pd.DataFrame) -> None:
    Path("data/t.toml").write_text(f'{DESCRIPTION}task = "regression"\n')
    contents = trained(LinearRegression())
    rows = held_out_by_region()["easy"]
    answers = Model(contents).predict([{"n": int(n)} for n in rows["n"]])["predictions"]
    expected = mean_absolute_error(rows["y"], answers)
    assert contents["groups"]["region"]["easy"]["mae"] == pytest.approx(expected, rel=1e-4)


def test_a_column_of_many_values_has_a_limited_number_of_groups(data: pd.DataFrame) -> None:
    contents = trained(DecisionTreeClassifier(max_depth=3))
    assert len(contents["groups"]["n"]) == GROUPS < data["n"].nunique()


def test_a_model_file_without_groups_has_no_metrics_of_them(data: pd.DataFrame) -> None:
    Path("data/t.toml").write_text('label = "y"\nignore = ["region"]\n')
    assert "groups" not in trained(DecisionTreeClassifier(max_depth=3))
