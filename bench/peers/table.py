"""The data's columns, and rows of it as a client would send them. Standard library only."""

import csv
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data" / "adult_income-prepped.csv"
LABEL = "income"


def _read(step: int = 1, count: int | None = None) -> list[list[int | str]]:
    """Every `step`-th row of the data, `count` at most, the label left out, numbers as numbers."""
    with DATA.open(newline="") as file:
        lines = csv.reader(file)
        next(lines)
        chosen = islice(lines, 0, None, step)
        return [[int(v) if v.isdigit() else v for v in line[:-1]] for line in islice(chosen, count)]


def rows(count: int) -> list[list[int | str]]:
    """`count` rows spread over the first part of the data: lists in column order."""
    return _read(step=400 if count <= 100 else 1, count=count)


with DATA.open(newline="") as _file:
    COLUMNS = next(csv.reader(_file))[:-1]
CATEGORIES = [name for name, value in zip(COLUMNS, _read(count=1)[0]) if isinstance(value, str)]
NUMBERS = [name for name in COLUMNS if name not in CATEGORIES]
