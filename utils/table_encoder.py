"""Rows of a table to the float32 matrix that an estimator was fitted on; a bad row is refused by name.

Plain lists and dicts describe the encoding (the model file's `scaler`), so nothing here needs scikit-learn:
- a number is one column as it is (`edges` absent) or one column per bin (`edges`: the inner bin borders,
  a value on a border belongs to the bin above it, as in scikit-learn's KBinsDiscretizer);
- a category is one column per category, 1 where it applies (OneHotEncoder).
"""

from __future__ import annotations  # Python 3.11's memoryview has no memoryview[float]

from bisect import bisect_right
from collections.abc import Sequence
from itertools import repeat
from typing import Any, NamedTuple, NoReturn

import numpy as np

FLOAT32_MAX = float(np.finfo(np.float32).max)
# Below this many rows plain Python is faster than numpy's call overhead (measured: they cross near 16).
FEW_ROWS = 16
NUMERIC = frozenset((int, float))
UNKNOWN = -1


class InvalidInstances(ValueError):
    """Instances that the model can't take. `path` points at the value: `instances[2].age`."""

    status = 422
    code = "invalid_instances"

    def __init__(self, message: str, path: str):
        super().__init__(message)
        self.path = path


class Column(NamedTuple):
    """A column of texts (`places`: each category's matrix column) or of numbers (as they are, or binned by `edges`)."""

    name: str
    start: int
    width: int
    places: dict[str, int] | None
    edges: list[float] | None

    def expected(self, value: Any, ignore_unknown: bool) -> str:
        """What should have stood where `value` stands; empty if it may stand there."""
        if self.places is None:
            good = type(value) in NUMERIC and -FLOAT32_MAX <= value <= FLOAT32_MAX
            return "" if good else "a finite number"
        if type(value) is str and (ignore_unknown or value in self.places):
            return ""
        some = ", ".join(repr(category) for category in list(self.places)[:3])
        return f"one of {some}" + (f" and {self.width - 3} more" if self.width > 3 else "")


class TableEncoder:
    """Encodes rows by `scaler`: a dict with `columns`, a list of {"name", "edges" or "categories"}.

    `ignore_unknown` encodes a category that training never saw as zeros in all its columns; else it is refused.
    """

    def __init__(self, scaler: dict[str, Any], ignore_unknown: bool = False):
        self.columns: list[Column] = []
        self.width = 0
        self.ignore_unknown = ignore_unknown
        for column in scaler["columns"]:
            edges, categories = column.get("edges"), column.get("categories")
            places = (
                None
                if categories is None
                else {text: self.width + i for i, text in enumerate(categories)}
            )
            width = len(edges or ()) + 1 if places is None else len(places)
            self.columns.append(Column(column["name"], self.width, width, places, edges))
            self.width += width
        # Plain tuples: a NamedTuple takes twice as long to unpack.
        self._plan = [(column.places, column.start, column.edges) for column in self.columns]
        self.names = [column.name for column in self.columns]

    def encode(self, instances: Any) -> np.ndarray:
        """The matrix (rows x width, float32) of `instances`, see rows().

        Raises InvalidInstances naming row, column, what was found and what was expected.
        """
        return self.matrix(self.rows(instances))

    def matrix(self, rows: list[Sequence[Any]]) -> np.ndarray:
        """The matrix (rows x width, float32) of rows(); raises InvalidInstances as encode() does."""
        matrix = np.zeros((len(rows), self.width), dtype=np.float32)
        if len(rows) < FEW_ROWS:
            self.write_by_row(rows, matrix.reshape(-1).data)
        else:
            try:
                self._by_column(rows, matrix)
            except (ValueError, TypeError, OverflowError):
                self._refuse(rows)
        return matrix

    def rows(self, instances: Any) -> list[Sequence[Any]]:
        """The rows of `instances`, each with as many values as there are columns, in their order.

        Instances are a list of rows; a row is a list in column order, or an object by column name; one flat
        row is a batch of one. Raises InvalidInstances naming the row.
        """
        if not isinstance(instances, list):
            raise InvalidInstances(
                f"expected a list of rows, found {shown(instances)}", "instances"
            )
        if instances and not isinstance(instances[0], (list, dict)):
            instances = [instances]
        if set(map(type, instances)) == {list} and set(map(len, instances)) == {len(self.names)}:
            return instances
        return [self._in_order(row, i) for i, row in enumerate(instances)]

    def _in_order(self, row: Any, i: int) -> Sequence[Any]:
        """The values of one row in column order."""
        if type(row) is list:
            if len(row) == len(self.names):
                return row
            raise InvalidInstances(
                f"row {i}: expected {len(self.names)} values ({', '.join(self.names)}), found {len(row)}",
                f"instances[{i}]",
            )
        if type(row) is not dict:
            raise InvalidInstances(
                f"row {i}: expected a list or an object, found {shown(row)}", f"instances[{i}]"
            )
        if len(row) == len(self.names):
            try:
                return [row[name] for name in self.names]
            except KeyError:
                pass
        missing = [name for name in self.names if name not in row]
        name = missing[0] if missing else cut(next(key for key in row if key not in self.names))
        problem = "is missing" if missing else f"is none of the model's ({', '.join(self.names)})"
        raise InvalidInstances(f"row {i}: column {name!r} {problem}", f"instances[{i}].{name}")

    def write_by_row(self, rows: list[Sequence[Any]], cells: memoryview[float]) -> None:
        """Writes rows() into `cells` (rows times width floats, all 0); raises InvalidInstances as encode() does."""
        try:
            start = 0
            for row in rows:
                for value, (places, place, edges) in zip(row, self._plan):
                    if places is not None:
                        found = places.get(value)
                        if found is not None:
                            cells[start + found] = 1.0
                        elif not self.ignore_unknown or type(value) is not str:
                            self._refuse(rows)
                    elif type(value) not in NUMERIC or not -FLOAT32_MAX <= value <= FLOAT32_MAX:
                        self._refuse(rows)
                    elif edges is None:
                        cells[start + place] = value
                    else:
                        cells[start + place + bisect_right(edges, value)] = 1.0
                start += self.width
        except TypeError:  # a list or an object can't be looked up
            self._refuse(rows)

    def _by_column(self, rows: list[Sequence[Any]], matrix: np.ndarray) -> None:
        """Writes column by column, several times faster on many rows; raises another error for a bad value."""
        cells = matrix.reshape(-1)
        starts = np.arange(0, cells.size, self.width)
        for values, (places, place, edges) in zip(zip(*rows), self._plan):
            if places is not None:
                found = np.fromiter(map(places.get, values, repeat(UNKNOWN)), np.intp, len(rows))
                known = found != UNKNOWN
                if not known.all() and not (
                    self.ignore_unknown and set(map(type, values)) == {str}
                ):
                    raise ValueError
                cells[(starts + found)[known]] = 1.0
                continue
            numbers = np.fromiter(values, np.float64, len(rows))
            if (
                not NUMERIC.issuperset(map(type, values))
                or not (np.abs(numbers) <= FLOAT32_MAX).all()
            ):
                raise ValueError
            if edges is None:
                matrix[:, place] = numbers
            else:
                cells[starts + place + np.searchsorted(edges, numbers, side="right")] = 1.0

    def _refuse(self, rows: list[Sequence[Any]]) -> NoReturn:
        """Raises InvalidInstances for the first bad value."""
        for i, row in enumerate(rows):
            for column, value in zip(self.columns, row):
                if expected := column.expected(value, self.ignore_unknown):
                    message = f"row {i}: column {column.name!r}: expected {expected}, found {shown(value)}"
                    raise InvalidInstances(message, f"instances[{i}].{column.name}")
        raise AssertionError("no bad value in rows that were refused")


def shown(value: Any) -> str:
    """A value as the sender wrote it, cut to a length that a message can bear."""
    names = {
        dict: "an object",
        list: "a list",
        type(None): "null",
        bool: "true" if value is True else "false",
    }
    if type(value) is int and abs(value) >= 2**64:  # Python refuses to print very long ones
        return "an integer beyond 64 bits"
    return cut(names.get(type(value)) or repr(value))


def cut(text: str) -> str:
    """The text, at most 60 characters of it."""
    return text if len(text) <= 60 else f"{text[:57]}..."
