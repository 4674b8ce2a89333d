"""Test how rows are held out, and how classes and weights reach the estimator."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runtime.message import Message
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from support.datasets import write_dataset
from xgboost import XGBClassifier

from common_utils.train_utils import train_model
from utils.dataset.description import Description
from utils.dataset.read import read_dataset, read_test
from utils.encode_decode import init_model
from utils.errors import TrainingError
from utils.training.labels import with_class_numbers
from utils.training.pipeline import fit_pipeline
from utils.training.split import Parts, split

ROWS = 200
LABEL = {"classes": "ab" * (ROWS // 2), "numbers": range(ROWS)}


def dataset(tmp_path: Path, lines: str = "", **columns: Any) -> tuple[pd.DataFrame, Description]:
    """Return a table with a number, a date, a group and a label, and its description."""
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(ROWS)[::-1], unit="D")
    table = {
        "n": np.arange(ROWS) % 7 + 0.5,
        "day": days.strftime("%Y-%m-%d"),
        "team": [f"team {i // 10}" for i in range(ROWS)],
        "y": list(LABEL["classes"]),
        **columns,
    }
    pd.DataFrame(table).to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "t.toml").write_text(f'label = "y"\n{lines}\n')
    return read_dataset(tmp_path / "t.csv")


def test_rows_are_held_out_at_random_with_the_same_shares(tmp_path: Path) -> None:
    table, description = dataset(tmp_path, y=["a"] * 150 + ["b"] * 50)
    train, held_out = split(table, description)
    assert sorted([*train.index, *held_out.index]) == list(range(ROWS))
    assert held_out["y"].value_counts().to_dict() == {"a": 45, "b": 15}
    assert list(held_out.index) != sorted(held_out.index), "the control: the order is random"


def test_the_latest_rows_are_held_out_by_time(tmp_path: Path) -> None:
    table, description = dataset(tmp_path, 'split = "time:day"')
    train, held_out = split(table, description)
    assert len(held_out) == 60
    assert train["day"].max() < held_out["day"].min()
    random = split(*dataset(tmp_path))
    assert random.train["day"].max() > random.held_out["day"].min(), "the control"


def test_complete_groups_are_held_out(tmp_path: Path) -> None:
    table, description = dataset(tmp_path, 'split = "group:team"')
    train, held_out = split(table, description)
    assert not set(train["team"]) & set(held_out["team"])
    assert len(held_out) == 60
    random = split(*dataset(tmp_path))
    assert set(random.train["team"]) & set(random.held_out["team"]), "the control"


def test_a_test_file_is_held_out(tmp_path: Path) -> None:
    table, description = dataset(tmp_path, 'test = "later.csv"')
    table.head(20).to_csv(tmp_path / "later.csv", index=False)
    parts = split(table, description, test=read_test(tmp_path / "t.csv", description))
    assert (len(parts.train), len(parts.held_out)) == (ROWS, 20)


@pytest.mark.parametrize(
    ("lines", "columns", "message"),
    [
        ('split = "group:team"', {"team": ["one"] * ROWS}, "has 1 group"),
        (
            'split = "time:day"',
            {"y": ["b"] * 60 + ["a"] * 139 + ["c"]},
            "only the held-out rows have 'b'",
        ),
        ('split = "time:day"', {"y": ["a"] * 100 + ["b"] * 99 + ["a"]}, "they have one class"),
    ],
    ids=["one group", "new class", "one class"],
)
def test_parts_that_cannot_be_scored_are_rejected(
    tmp_path: Path, lines: str, columns: dict[str, Any], message: str
) -> None:
    table, description = dataset(tmp_path, lines, **columns)
    with pytest.raises(TrainingError, match=message):
        split(table, description)


def test_class_weights_have_the_datas_own_classes() -> None:
    estimator = LogisticRegression(class_weight={"no": 1, "yes": 5})
    numbered = with_class_numbers(estimator, ["no", "yes"])
    assert numbered.class_weight == {0: 1, 1: 5}
    assert estimator.class_weight == {"no": 1, "yes": 5}
    unchanged = LogisticRegression(class_weight="balanced")
    assert with_class_numbers(unchanged, ["no", "yes"]) is unchanged
    with pytest.raises(TrainingError, match="'maybe' is not a class of the label"):
        with_class_numbers(LogisticRegression(class_weight={"maybe": 2}), ["no", "yes"])


def test_weights_of_rows_change_the_model(tmp_path: Path) -> None:
    weights = np.where(np.arange(ROWS) % 2, 9, 1)
    numbers = [fitted_intercept(*dataset(tmp_path, line, w=weights)) for line in WEIGHT_LINES]
    assert numbers[0] == pytest.approx(0, abs=0.3)
    assert numbers[1] > 1.5


WEIGHT_LINES = ('ignore = ["w"]', 'weight = "w"')


def fitted_intercept(table: pd.DataFrame, description: Description) -> float:
    """Return the mean log odds of class b."""
    pipeline = fit_pipeline(split(table, description), description, LogisticRegression())
    odds = pipeline.decision_function(table[[column.name for column in description.columns]])
    return float(odds.mean())


def test_an_estimator_without_weights_is_rejected(tmp_path: Path) -> None:
    table, description = dataset(tmp_path, 'weight = "w"', w=[1] * ROWS)
    with pytest.raises(TrainingError, match="KNeighborsClassifier takes no sample weights"):
        fit_pipeline(split(table, description), description, KNeighborsClassifier())


def test_early_stopping_uses_rows_of_the_training_part(tmp_path: Path) -> None:
    table, description = dataset(tmp_path)
    parts = split(table, description)
    stopped = XGBClassifier(n_estimators=200, early_stopping_rounds=2)
    fitted = [
        fit_pipeline(Parts(parts.train, held_out), description, stopped)["estimator"]
        for held_out in (parts.held_out, parts.held_out.head(5))
    ]
    assert fitted[0].best_iteration == fitted[1].best_iteration < 190
    assert fitted[0].get_booster().get_dump() == fitted[1].get_booster().get_dump()


def test_a_regressor_for_classes_is_rejected(tmp_path: Path) -> None:
    table, description = dataset(tmp_path)
    with pytest.raises(TrainingError, match="Ridge is not a classifier, but the label 'y'"):
        fit_pipeline(split(table, description), description, Ridge())
    table, description = dataset(tmp_path, 'task = "regression"', y=LABEL["numbers"])
    with pytest.raises(TrainingError, match="LogisticRegression is not a regressor"):
        fit_pipeline(split(table, description), description, LogisticRegression())


def test_the_encoding_does_not_depend_on_held_out_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: another training part gives another encoding."""
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    path = write_dataset(tmp_path, "prices")
    lines = path.read_text().splitlines()
    changed = [*lines[:400], *(line.replace("20", "19", 1) for line in lines[400:])]
    scalers = []
    for rows, content in ((350, lines), (350, changed), (300, lines)):
        path.write_text("\n".join(content))
        payload = {"$ref": "data/prices.csv", "model_name": "m", "train_rows": rows}
        train_model(Message(payload=payload), Ridge(), "A test")
        scalers.append(init_model("m")["scaler"])
    assert scalers[0] == scalers[1]
    assert scalers[0] != scalers[2]
