"""Small data sets of different kinds, with their descriptions.

This module defines DATASETS, rows_as_json, write_dataset. Each function of DATASETS returns a table
and the lines of its description. The label is the column y.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

from utils.dataset.description import Description

ROWS = 600
Dataset = tuple[pd.DataFrame, str]


def bundled(name: str) -> pd.DataFrame:
    """Return a table that scikit-learn contains, with the label y."""
    loaded = getattr(datasets, f"load_{name}")(as_frame=True)
    return loaded.frame.rename(columns={"target": "y"})


def flowers() -> Dataset:
    """Three classes that are texts; the names have blanks and brackets."""
    table = bundled("iris")
    return table.assign(y=table["y"].map({0: "setosa", 1: "versicolor", 2: "virginica"})), ""


def wines() -> Dataset:
    """Classes that are the numbers 1 to 3."""
    table = bundled("wine")
    return table.assign(y=table["y"] + 1), ""


def tumours() -> Dataset:
    """A label that is true or false."""
    table = bundled("breast_cancer")
    return table.assign(y=table["y"].map({0: "false", 1: "true"})), ""


def digits() -> Dataset:
    """Ten classes and 64 numbers; some numbers are constant."""
    return bundled("digits").iloc[::3], ""


def progress() -> Dataset:
    """A label that is a number."""
    return bundled("diabetes"), ""


def gaps() -> Dataset:
    """Missing values in each kind of column."""
    random = np.random.default_rng(0)
    number = random.normal(size=ROWS).round(3)
    job = random.choice(["a", "b", "c", "d"], ROWS)
    flag = random.choice(["true", "false"], ROWS)
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 900, ROWS), unit="D")
    label = (number + (job == "b") + (flag == "true") > 0.8).astype(int)
    table = pd.DataFrame({"n": number, "job": job, "flag": flag, "day": day.strftime("%d/%m/%Y")})
    table = table.astype(object).mask(random.random(table.shape) < 0.2, "")
    table["empty"] = ""
    lines = '[columns]\nday = {kind = "date", format = "%d/%m/%Y"}\nflag = "boolean"\n'
    return table.assign(y=label), lines


def cities() -> Dataset:
    """A category of hundreds of values; many held-out rows have a new one."""
    random = np.random.default_rng(1)
    city = random.zipf(1.4, ROWS) % 400
    effect = random.normal(size=400)
    number = random.normal(size=ROWS).round(3)
    label = np.where(effect[city] + number > 0, "yes", "no")
    return pd.DataFrame({"city": [f"city {c}" for c in city], "n": number, "y": label}), ""


def codes() -> Dataset:
    """Categories that are integers, with gaps and a rare one."""
    random = np.random.default_rng(2)
    code = random.integers(1, 9, ROWS)
    table = pd.DataFrame({"code": code.astype(str), "n": random.normal(size=ROWS).round(3)})
    table.loc[::13, "code"] = ""
    table.loc[5, "code"] = "77"
    return table.assign(y=np.isin(code, [2, 5, 7]) * 2 + 1), '[columns]\ncode = "category"\n'


def prices() -> Dataset:
    """Numbers with an outlier, dates and a label of large numbers."""
    random = np.random.default_rng(3)
    size = random.lognormal(4.5, 0.4, ROWS).round(1)
    days = random.integers(0, 3000, ROWS)
    sold = pd.Timestamp("2015-01-01") + pd.to_timedelta(days, unit="D")
    label = (2000 * size * (1 + days / 6000) * random.lognormal(0, 0.1, ROWS)).round()
    size[5] = 1e9
    return pd.DataFrame({"sold": sold.strftime("%Y-%m-%d"), "size": size, "y": label}), ""


def complaints() -> Dataset:
    """Texts with other scripts, line breaks and quotes, and times with seconds."""
    random = np.random.default_rng(4)
    label = random.choice(["billing", "network", "straße"], ROWS)
    noise = [f"word{i}" for i in range(40)]
    texts = [
        " ".join([*random.choice(noise, 6), f'{name.upper()}\n"É"', *random.choice(noise, 3)])
        for name in label
    ]
    texts[::50] = [""] * len(texts[::50])
    seconds = pd.to_timedelta(random.integers(0, 90_000_000, ROWS), unit="s")
    opened = (pd.Timestamp("2020-01-01") + seconds).strftime("%Y-%m-%d %H:%M:%S")
    lines = '[columns]\nremarks = "text"\n'
    return pd.DataFrame({"remarks": texts, "opened": opened, "y": label}), lines


def wide() -> Dataset:
    """More columns than rows."""
    random = np.random.default_rng(5)
    numbers = random.normal(size=(150, 220)).round(3)
    table = pd.DataFrame(numbers, columns=[f"x{i}" for i in range(220)])
    return table.assign(y=(numbers[:, :5].sum(axis=1)).round(3)), ""


def customers() -> Dataset:
    """A label by time, with weights and an id that is ignored."""
    random = np.random.default_rng(6)
    number = random.normal(size=ROWS).round(3)
    days = pd.to_timedelta(np.arange(ROWS), unit="D")
    table = pd.DataFrame(
        {
            "id": np.arange(ROWS) + 1000,
            "n": number,
            "signed": (pd.Timestamp("2019-01-01") + days).strftime("%Y-%m-%d"),
            "w": random.integers(1, 4, ROWS),
            "y": np.where(number + random.normal(size=ROWS) > 0, "stays", "leaves"),
        }
    )
    return table, 'split = "time:signed"\nweight = "w"\nignore = ["id"]\n'


DATASETS: dict[str, Callable[[], Dataset]] = {
    function.__name__: function
    for function in (
        flowers,
        wines,
        tumours,
        digits,
        progress,
        gaps,
        cities,
        codes,
        prices,
        complaints,
        wide,
        customers,
    )
}


def write_dataset(folder: Path, name: str) -> Path:
    """Write the table and the description of a data set; return the table's path."""
    table, lines = DATASETS[name]()
    path = folder / "data" / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    table.to_csv(path, index=False)
    path.with_suffix(".toml").write_text(f'label = "y"\n{lines}')
    return path


def rows_as_json(path: Path, held_out: pd.DataFrame, description: Description) -> list[Any]:
    """Return the held-out rows as a client reads them from the file, by name.

    They have all columns of the file, also the label and the ignored ones.
    """
    texts = pd.read_csv(path, dtype=str, keep_default_na=False).iloc[held_out.index]
    numbers = [column.name for column in description.columns if column.kind == "number"]
    rows = texts.to_dict("records")
    for row in rows:
        for name in numbers:
            row[name] = float(row[name]) if row[name] else None
    return rows
