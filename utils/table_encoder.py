"""Encode rows of a table as the float32 matrix of the estimator.

The model file's `scaler` describes the encoding in plain lists and dicts. Therefore this module
does not need scikit-learn:
- Without `edges`, a number is one column and keeps its value.
- With `edges`, a number is one column per bin. `edges` are the inner borders of the bins. A value
  on a border belongs to the bin above it, as in scikit-learn's KBinsDiscretizer.
- A category is one column per category, as in scikit-learn's OneHotEncoder.
"""

# Without this import, Python 3.11 evaluates memoryview[float] and fails.
from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import repeat
from typing import Any, NamedTuple, NoReturn

import numpy as np

FLOAT32_MAX = float(np.finfo(np.float32).max)
# For fewer rows, plain Python is faster than numpy, because each numpy call has an overhead. Both
# take the same time at about 16 rows.
FEW_ROWS = 16
NUMERIC = frozenset((int, float))
UNKNOWN = -1


class InvalidInstances(ValueError):
    """Instances that are not valid for the model.

    `path` is the place of the invalid value, for example `instances[2].age`.
    """

    status = 422
    code = "invalid_instances"

    def __init__(self, message: str, path: str):
        super().__init__(message)
        self.path = path


class Column(NamedTuple):
    """A column of the table and its columns in the matrix.

    For a column of categories, `places` is the matrix column of each category. For a column of
    numbers, `places` is None and `edges` are the borders of its bins. Without `edges`, a number
    keeps its value.
    """

    name: str
    start: int
    width: int
    places: dict[str, int] | None
    edges: list[float] | None

    def expected(self, value: Any, ignore_unknown: bool) -> str:
        """Return the expected value in words, or "" if `value` is valid."""
        if self.places is None:
            is_valid = type(value) in NUMERIC and -FLOAT32_MAX <= value <= FLOAT32_MAX
            return "" if is_valid else "a finite number"
        if type(value) is str and (ignore_unknown or value in self.places):
            return ""
        examples = ", ".join(repr(category) for category in list(self.places)[:3])
        more = f" and {self.width - 3} more" if self.width > 3 else ""
        return f"one of {examples}{more}"


class Buffer:
    """A matrix (rows x width, float32) and a flat view of its `cells`."""

    def __init__(self, rows: int, width: int):
        self.matrix = np.zeros((rows, width), dtype=np.float32)
        # A memoryview sets one value several times faster than an array does.
        self.cells: memoryview[float] = self.matrix.reshape(-1).data


class TableEncoder:
    """An encoder of rows, defined by the model file's `scaler`.

    `scaler` is a dict with `columns`, a list of {"name", "edges" or "categories"}. With
    `ignore_unknown`, a category that is not in the training data is encoded as zeros in all its
    columns. Without it, such a category is invalid.
    """

    def __init__(self, scaler: dict[str, Any], ignore_unknown: bool = False):
        self.columns: list[Column] = []
        self.width = 0
        self.ignore_unknown = ignore_unknown
        for column in scaler["columns"]:
            categories = column.get("categories")
            edges = column.get("edges")
            if categories is not None:
                places = {text: place for place, text in enumerate(categories, self.width)}
                width = len(places)
            else:
                places = None
                width = len(edges or ()) + 1
            self.columns.append(Column(column["name"], self.width, width, places, edges))
            self.width += width
        # These are plain tuples, because unpacking a NamedTuple takes twice as long.
        self._plan = [(column.places, column.start, column.edges) for column in self.columns]
        self.names = [column.name for column in self.columns]
        self._zero_row = Buffer(1, self.width).cells

    def encode(self, instances: Any, row_buffer: Buffer | None = None) -> np.ndarray:
        """Return the matrix (rows x width, float32) of `instances`.

        `instances` is a list of rows. A row is a list in column order, or a dict by column name.
        One flat row is a batch of one row. For one row and a `row_buffer`, the matrix of that
        buffer is overwritten and returned, because allocating a matrix takes several percent of a
        request's time.
        Raises InvalidInstances, which names the row, the column, the value and the expected value.
        """
        rows = self._rows_in_order(instances)
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

    def _rows_in_order(self, instances: Any) -> list[Sequence[Any]]:
        """Return the rows of `instances`, each as a sequence in column order.

        Raises InvalidInstances, which names the row.
        """
        if not isinstance(instances, list):
            raise InvalidInstances(
                f"expected a list of rows, found {format_value(instances)}", "instances"
            )
        if instances and not isinstance(instances[0], (list, dict)):
            instances = [instances]
        if set(map(type, instances)) == {list} and set(map(len, instances)) == {len(self.names)}:
            return instances
        return [self._in_order(row, i) for i, row in enumerate(instances)]

    def _in_order(self, row: Any, i: int) -> Sequence[Any]:
        """Return the values of row number `i` in column order."""
        if type(row) is list:
            if len(row) == len(self.names):
                return row
            raise InvalidInstances(
                f"row {i}: expected {len(self.names)} values ({', '.join(self.names)}), "
                f"found {len(row)}",
                f"instances[{i}]",
            )
        if type(row) is not dict:
            raise InvalidInstances(
                f"row {i}: expected a list or an object, found {format_value(row)}",
                f"instances[{i}]",
            )
        if len(row) == len(self.names):
            try:
                return [row[name] for name in self.names]
            except KeyError:
                pass
        raise self._wrong_columns(row, i)

    def _wrong_columns(self, row: dict[str, Any], i: int) -> InvalidInstances:
        """Return the error for row number `i`, which lacks a column or has an unknown one."""
        missing = [name for name in self.names if name not in row]
        if missing:
            name = missing[0]
            problem = "is missing"
        else:
            name = truncate(next(key for key in row if key not in self.names))
            problem = f"is not a column of this model ({', '.join(self.names)})"
        return InvalidInstances(f"row {i}: column {name!r} {problem}", f"instances[{i}].{name}")

    def _write_by_row(self, rows: list[Sequence[Any]], buffer: Buffer) -> None:
        """Write `rows` into a buffer of zeros, row by row.

        Raises ValueError for an invalid value, or TypeError for a category that is a list or dict.
        """
        cells = buffer.cells
        start = 0
        for row in rows:
            for value, (places, place, edges) in zip(row, self._plan):
                if places is not None:
                    found = places.get(value)
                    if found is not None:
                        cells[start + found] = 1.0
                    elif not self.ignore_unknown or type(value) is not str:
                        raise ValueError
                elif type(value) not in NUMERIC or not -FLOAT32_MAX <= value <= FLOAT32_MAX:
                    raise ValueError
                elif edges is None:
                    cells[start + place] = value
                else:
                    cells[start + place + bisect_right(edges, value)] = 1.0
            start += self.width

    def _write_by_column(self, rows: list[Sequence[Any]], buffer: Buffer) -> None:
        """Write `rows` into a buffer of zeros, column by column.

        For many rows, this method is several times faster than _write_by_row.
        Raises ValueError, TypeError or OverflowError for an invalid value.
        """
        cells = buffer.matrix.reshape(-1)
        starts = np.arange(0, cells.size, self.width)
        for values, (places, place, edges) in zip(zip(*rows), self._plan):
            if places is not None:
                found = np.fromiter(map(places.get, values, repeat(UNKNOWN)), np.intp, len(rows))
                known = found != UNKNOWN
                if not known.all():
                    all_texts = set(map(type, values)) == {str}
                    if not self.ignore_unknown or not all_texts:
                        raise ValueError
                cells[(starts + found)[known]] = 1.0
                continue

            if not NUMERIC.issuperset(map(type, values)):
                raise ValueError
            numbers = np.fromiter(values, np.float64, len(rows))
            if not (np.abs(numbers) <= FLOAT32_MAX).all():
                raise ValueError
            if edges is None:
                cells[place :: self.width] = numbers
            else:
                cells[starts + place + np.searchsorted(edges, numbers, side="right")] = 1.0

    def _raise_for_first_bad_value(self, rows: list[Sequence[Any]]) -> NoReturn:
        """Raise InvalidInstances for the first invalid value."""
        for i, row in enumerate(rows):
            for column, value in zip(self.columns, row):
                expected = column.expected(value, self.ignore_unknown)
                if expected:
                    raise InvalidInstances(
                        f"row {i}: column {column.name!r}: expected {expected}, "
                        f"found {format_value(value)}",
                        f"instances[{i}].{column.name}",
                    )
        raise AssertionError("no bad value in rows that were rejected")


def format_value(value: Any) -> str:
    """Return a value in the words of JSON, truncated."""
    names = {
        dict: "an object",
        list: "a list",
        type(None): "null",
        bool: "true" if value is True else "false",
    }
    # Python raises an error if a very long integer is converted to text.
    if type(value) is int and abs(value) >= 2**64:
        return "an integer beyond 64 bits"
    return truncate(names.get(type(value)) or repr(value))


def truncate(text: str) -> str:
    """Return `text`, shortened to at most 60 characters."""
    return text if len(text) <= 60 else f"{text[:57]}..."
