"""The columns of the data, and its rows in the form that a client sends.

This module uses only the standard library.
"""

import csv
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data" / "adult_income-prepped.csv"
LABEL = "income"


def _read(step: int = 1, count: int | None = None) -> list[list[int | str]]:
    """Return every `step`-th row of the data, at most `count`, without the label."""
    with DATA.open(newline="") as file:
        lines = csv.reader(file)
        next(lines)
        chosen = islice(islice(lines, 0, None, step), count)
        return [[_number_or_text(text) for text in line[:-1]] for line in chosen]


def _number_or_text(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def rows(count: int) -> list[list[int | str]]:
    """Return `count` rows as lists in column order.

    Up to 100 rows are spread over the first part of the data.
    """
    step = 400 if count <= 100 else 1
    return _read(step=step, count=count)


with DATA.open(newline="") as _file:
    COLUMNS = next(csv.reader(_file))[:-1]
_first_row = _read(count=1)[0]
CATEGORIES = [name for name, value in zip(COLUMNS, _first_row) if isinstance(value, str)]
NUMBERS = [name for name in COLUMNS if name not in CATEGORIES]
