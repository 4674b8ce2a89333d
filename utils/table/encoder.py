"""Encode rows of a table as the float32 matrix of the estimator."""

# Without this import, Python 3.11 evaluates memoryview[float] and fails.
from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from utils.table.categories import Category
from utils.table.columns import (
    FLOAT32_MAX,
    NUMERIC,
    Buffer,
    Column,
    InvalidValue,
    Number,
    Unused,
)
from utils.table.dates import Date
from utils.table.rows import InvalidInstances, RowOrder, format_value
from utils.table.texts import Text

# For fewer rows, plain Python is faster than numpy, because each numpy call has an overhead. Both
# take the same time at about 16 rows.
FEW_ROWS = 16
# Marks a column whose values _write_by_row does not encode itself.
OTHER_KIND: list[float] = []
# An entry of the plan: places of the categories, first cell, edges of the bins, the column.
Step = tuple["dict[str, int] | None", int, "list[float] | None", Column]


class TableEncoder:
    """An encoder of rows, defined by the model file's `scaler`.

    `scaler` is a dict with `columns`, a list of dicts that utils/table/columns.py describes, and
    optionally `ignored`, the names that a row may contain in addition. With `ignore_unknown`, a
    category that is not in the training data is encoded as zeros in all its columns. Without it,
    such a category is invalid, unless its column has a block for unknown categories.
    """

    def __init__(self, scaler: dict[str, Any], ignore_unknown: bool = False):
        self.columns: list[Column] = []
        self.width = 0
        for plain in scaler["columns"]:
            column = make_column(plain, self.width, ignore_unknown)
            self.columns.append(column)
            self.width += column.width

        names = [column.name for column in self.columns]
        optional = [column.name for column in self.columns if column.accepts_missing]
        self.ignored: list[str] = scaler.get("ignored", [])
        self._arrange = RowOrder(names, optional, self.ignored).arrange
        self._plan = [step_of(column) for column in self.columns]
        self._zero_row = Buffer(1, self.width).cells

    def encode(self, instances: Any, row_buffer: Buffer | None = None) -> np.ndarray:
        """Return the matrix (rows x width, float32) of `instances`.

        RowOrder.arrange describes `instances`. For one row and a `row_buffer`, the matrix of that
        buffer is overwritten and returned, because allocating a matrix takes several percent of a
        request's time.
        Raises InvalidInstances, which names the row, the column, the value and the expected value.
        """
        rows = self._arrange(instances)
        if len(rows) == 1 and row_buffer is not None:
            buffer = row_buffer
            buffer.cells[:] = self._zero_row
        else:
            buffer = Buffer(len(rows), self.width)

        write = self._write_by_row if len(rows) < FEW_ROWS else self._write_by_column
        try:
            write(rows, buffer)
        except (ValueError, TypeError, OverflowError):
            self._raise_for_first_bad_value(rows)
        return buffer.matrix

    def _write_by_row(self, rows: list[Sequence[Any]], buffer: Buffer) -> None:
        """Write `rows` into a buffer of zeros, row by row.

        Raises ValueError for an invalid value, or TypeError for a category that is a list or dict.
        """
        start = 0
        for row in rows:
            self._write_row(row, start, buffer.cells)
            start += self.width

    def _write_row(self, row: Sequence[Any], start: int, cells: memoryview[float]) -> None:
        """Write a row into `cells`, from `start` on.

        Numbers, bins and one-hot categories are encoded here, because a call of a method for each
        value would take a tenth of a request's time. Column.cells encodes all other values.
        """
        for value, (places, place, edges, column) in zip(row, self._plan):
            if places is not None:
                found = places.get(value)
                if found is not None:
                    cells[start + found] = 1.0
                    continue
            elif type(value) in NUMERIC and -FLOAT32_MAX <= value <= FLOAT32_MAX:
                if edges is None:
                    cells[start + place] = value
                    continue
                if edges is not OTHER_KIND:
                    cells[start + place + bisect_right(edges, value)] = 1.0
                    continue
            for position, cell in column.cells(value):
                cells[start + place + position] = cell

    def _write_by_column(self, rows: list[Sequence[Any]], buffer: Buffer) -> None:
        """Write `rows` into a buffer of zeros, column by column.

        For many rows, this method is several times faster than _write_by_row.
        Raises ValueError, TypeError or OverflowError for an invalid value.
        """
        starts = np.arange(0, buffer.flat.size, self.width)
        for values, column in zip(zip(*rows), self.columns):
            column.fill(values, buffer, starts)

    def _raise_for_first_bad_value(self, rows: list[Sequence[Any]]) -> NoReturn:
        """Raise InvalidInstances for the first invalid value."""
        for i, row in enumerate(rows):
            for column, value in zip(self.columns, row):
                try:
                    column.cells(value)
                except InvalidValue as expected:
                    raise InvalidInstances(
                        f"row {i}: column {column.name!r}: expected {expected}, "
                        f"found {format_value(value)}",
                        f"instances[{i}].{column.name}",
                    ) from None
        raise AssertionError("no bad value in rows that were rejected")


def step_of(column: Column) -> Step:
    """Return the entry of `column` in the plan.

    It is a plain tuple, because unpacking a tuple is faster than reading attributes.
    """
    if isinstance(column, Category) and column.is_one_hot_of_texts:
        return column.cell_of, column.start, None, column
    if isinstance(column, Number) and column.has_simple_cells:
        return None, column.start, column.edges, column
    return None, column.start, OTHER_KIND, column


def make_column(plain: dict[str, Any], start: int, ignore_unknown: bool) -> Column:
    """Return the column that `plain` describes."""
    if "categories" in plain:
        return Category(plain, start, ignore_unknown)
    if "parts" in plain:
        return Date(plain, start)
    if "words" in plain:
        return Text(plain, start)
    if plain.get("unused"):
        return Unused(plain, start)
    return Number(plain, start)
