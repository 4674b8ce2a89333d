"""Rows of a table to the float32 matrix that an estimator was fitted on; a bad row is refused by name.

Plain lists and dicts describe the encoding (the model file's `scaler`), so nothing here needs scikit-learn:
- a number is one column as it is (`edges` absent) or one column per bin (`edges`: the inner bin borders,
  a value on a border belongs to the bin above it, as in scikit-learn's KBinsDiscretizer);
- a category is one column per category, 1 where it applies (OneHotEncoder).
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np

FLOAT32_MAX = float(np.finfo(np.float32).max)
# Below this many rows plain Python is faster than numpy's call overhead (measured: they cross near 8).
FEW_ROWS = 8
# The ones of unknown categories go into a spare last column, which is cut off.
SPARE = -1


class InvalidInstances(ValueError):
    """Instances that the model can't take. `path` points at the value: `instances[2].age`."""

    status = 422
    code = "invalid_instances"

    def __init__(self, message: str, path: str):
        super().__init__(message)
        self.path = path


class Number:
    """A column of finite numbers: as they are, or one matrix column per bin."""

    def __init__(self, name: str, start: int, edges: list[float] | None):
        self.name = name
        self.start = start
        self.edges = edges
        self.width = 1 if edges is None else len(edges) + 1

    def put(self, value: Any) -> tuple[int, float]:
        """The matrix column that `value` goes to and what goes there; raises ValueError saying what was expected."""
        if type(value) not in (int, float) or not -FLOAT32_MAX <= value <= FLOAT32_MAX:
            raise ValueError(f"expected a finite number, found {shown(value)}")
        if self.edges is None:
            return self.start, value
        return self.start + bisect_right(self.edges, value), 1.0

    def fill(self, matrix: np.ndarray, values: Sequence[Any]) -> None:
        """Writes a column of values into `matrix`; raises ValueError or OverflowError if one is bad."""
        if not set(map(type, values)) <= {int, float}:
            raise ValueError
        numbers = np.array(values, dtype=np.float64)
        if not (np.abs(numbers) <= FLOAT32_MAX).all():
            raise ValueError
        if self.edges is None:
            matrix[:, self.start] = numbers
        else:
            bins = np.searchsorted(self.edges, numbers, side="right")
            matrix[np.arange(len(bins)), self.start + bins] = 1.0


class Category:
    """A column of texts: one matrix column per category that training saw, 1 where it applies."""

    def __init__(self, name: str, start: int, categories: list[str], ignore_unknown: bool):
        self.name = name
        self.categories = categories
        self.places = {category: start + i for i, category in enumerate(categories)}
        self.ignore_unknown = ignore_unknown
        self.width = len(categories)

    def put(self, value: Any) -> tuple[int, float]:
        """The matrix column that `value` goes to and what goes there; raises ValueError saying what was expected."""
        place = self.places.get(value, SPARE) if type(value) is str else None
        if place is None or place == SPARE and not self.ignore_unknown:
            raise ValueError(self._expected(value))
        return place, 1.0

    def fill(self, matrix: np.ndarray, values: Sequence[Any]) -> None:
        """Writes a column of values into `matrix`; raises ValueError if one is bad."""
        if set(map(type, values)) != {str}:
            raise ValueError
        places = [self.places.get(value, SPARE) for value in values]
        if SPARE in places and not self.ignore_unknown:
            raise ValueError
        matrix[np.arange(len(places)), places] = 1.0

    def _expected(self, value: Any) -> str:
        some = ", ".join(repr(category) for category in self.categories[:3])
        more = f" and {len(self.categories) - 3} more" if len(self.categories) > 3 else ""
        return f"expected one of {some}{more}, found {shown(value)}"


class TableEncoder:
    """Encodes rows by `scaler`: a dict with `columns`, a list of {"name", "edges" or "categories"}.

    `ignore_unknown` encodes a category that training never saw as zeros in all its columns; else it is refused.
    """

    def __init__(self, scaler: dict[str, Any], ignore_unknown: bool = False):
        self.columns: list[Number | Category] = []
        self.width = 0
        for column in scaler["columns"]:
            if "categories" in column:
                made: Number | Category = Category(column["name"], self.width, column["categories"], ignore_unknown)
            else:
                made = Number(column["name"], self.width, column.get("edges"))
            self.columns.append(made)
            self.width += made.width
        self.names = [column.name for column in self.columns]

    def encode(self, instances: Any) -> np.ndarray:
        """The matrix (rows x width, float32) of `instances`.

        Instances are a list of rows; a row is a list in column order, or an object by column name; one flat
        row is a batch of one. Raises InvalidInstances naming row, column, what was found and what was expected.
        """
        if not isinstance(instances, list):
            raise InvalidInstances(f"expected a list of rows, found {shown(instances)}", "instances")
        if instances and not isinstance(instances[0], (list, dict)):
            instances = [instances]
        rows = [self._in_order(row, i) for i, row in enumerate(instances)]
        if len(rows) < FEW_ROWS:
            return self._few(rows)
        try:
            return self._many(rows)
        except (ValueError, OverflowError):
            self._few(rows)  # finds the row and says what is wrong with it
            raise

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
            raise InvalidInstances(f"row {i}: expected a list or an object, found {shown(row)}", f"instances[{i}]")
        if len(row) == len(self.names):
            try:
                return [row[name] for name in self.names]
            except KeyError:
                pass
        missing = [name for name in self.names if name not in row]
        name = missing[0] if missing else cut(next(key for key in row if key not in self.names))
        problem = "is missing" if missing else f"is none of the model's ({', '.join(self.names)})"
        raise InvalidInstances(f"row {i}: column {name!r} {problem}", f"instances[{i}].{name}")

    def _few(self, rows: list[Sequence[Any]]) -> np.ndarray:
        """Encodes row by row; the road that knows where a bad value stands."""
        matrix = np.zeros((len(rows), self.width + 1), dtype=np.float32)
        for i, row in enumerate(rows):
            places, values = [], []
            for column, value in zip(self.columns, row):
                try:
                    place, amount = column.put(value)
                except ValueError as error:
                    message = f"row {i}: column {column.name!r}: {error}"
                    raise InvalidInstances(message, f"instances[{i}].{column.name}") from None
                places.append(place)
                values.append(amount)
            matrix[i, places] = values
        return np.ascontiguousarray(matrix[:, :SPARE])

    def _many(self, rows: list[Sequence[Any]]) -> np.ndarray:
        """Encodes column by column: several times faster on many rows."""
        matrix = np.zeros((len(rows), self.width + 1), dtype=np.float32)
        for column, values in zip(self.columns, zip(*rows)):
            column.fill(matrix, values)
        return np.ascontiguousarray(matrix[:, :SPARE])


def shown(value: Any) -> str:
    """A value as the sender wrote it, cut to a length that a message can bear."""
    names = {dict: "an object", list: "a list", type(None): "null", bool: "true" if value is True else "false"}
    if type(value) is int and abs(value) >= 2**64:  # Python refuses to print very long ones
        return "an integer beyond 64 bits"
    return cut(names.get(type(value)) or repr(value))


def cut(text: str) -> str:
    """The text, at most 60 characters of it."""
    return text if len(text) <= 60 else f"{text[:57]}..."
