"""Return the rows of a table in the form that a client sends."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pandas as pd

from utils.dataset.description import Column


def rows_of(table: pd.DataFrame, columns: tuple[Column, ...]) -> list[list[Any]]:
    """Return the rows of `table` in the form that a client sends.

    Each row is a list of the features in column order. Dates are texts. None is a missing value.
    """
    values = [values_of(table[column.name], column) for column in columns]
    return [list(row) for row in zip(*values)]


def values_of(values: pd.Series, column: Column) -> list[Any]:
    """Return the values of a column in the form that a client sends."""
    is_missing = values.isna().tolist()
    found = values.tolist()
    if column.kind == "date":
        found = [
            None if missing else moment.replace(tzinfo=UTC).strftime(column.format)
            for moment, missing in zip(found, is_missing)
        ]
    return [None if missing else value for value, missing in zip(found, is_missing)]
