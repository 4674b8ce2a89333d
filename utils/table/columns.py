"""Columns of numbers: how a value becomes cells of the matrix.

categories.py, dates.py and texts.py in this folder have the other kinds.

The model file's `scaler` describes each column with plain lists and dicts. Therefore this module
does not need scikit-learn. In all kinds:
- `name` is the name of the column.
- `missing` is the block of cells of a missing value, in which null is NaN. Without it, a missing
  value is invalid.
- `missing_texts` are texts that mean a missing value, in addition to null.

A block has all cells of one column in one row of the matrix. Each class has one rule for a value,
`cells`. `fill` writes many rows. It may handle common values faster, but passes all others to
`cells`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

FLOAT32_MAX = float(np.finfo(np.float32).max)
NUMERIC = frozenset((int, float))

# The nonzero cells of a value: pairs of a position in the block and a number.
Cells = Iterable[tuple[int, float]]


class Buffer:
    """A matrix (rows x width, float32), as an array, flat, and as a view of cells."""

    def __init__(self, rows: int, width: int):
        self.matrix = np.zeros((rows, width), dtype=np.float32)
        self.flat = self.matrix.reshape(-1)
        # A memoryview sets one value several times faster than an array does.
        self.cells: memoryview[float] = self.flat.data


class InvalidValue(ValueError):
    """A value that is not valid in its column.

    The message is the expected value in words.
    """


class Column:
    """A column of the table, which is `width` columns of the matrix from `start` on.

    `text_is_missing` and `missing` decide which values are missing values.
    """

    def __init__(self, plain: dict[str, Any], start: int, width: int):
        block = plain.get("missing")
        self.name: str = plain["name"]
        self.start = start
        self.width = width if block is None else len(block)
        self.accepts_missing = block is not None
        self._missing = nonzero(block or [])
        self.missing_texts = frozenset(plain.get("missing_texts", ()))

    def cells(self, value: Any) -> Cells:
        """Return the nonzero cells of `value`.

        Raises InvalidValue with the expected value in words.
        """
        if value is None or (type(value) is str and value in self.missing_texts):
            if self.accepts_missing:
                return self._missing
            raise InvalidValue(self.expected())
        return self._cells(value)

    def _cells(self, value: Any) -> Cells:
        """Return the nonzero cells of a `value` that is not missing."""
        raise NotImplementedError

    def value(self, value: Any) -> Any:
        """Return `value` as it is in the training part, or None for a missing value.

        Raises InvalidValue with the expected value in words.
        """
        self.cells(value)
        if value is None or (type(value) is str and value in self.missing_texts):
            return None
        return self._value(value)

    def _value(self, value: Any) -> Any:
        """Return a valid `value` that is not missing as it is in the training part."""
        return value

    def _description(self) -> str:
        """Return a valid value in words."""
        raise NotImplementedError

    def expected(self) -> str:
        """Return the valid values in words."""
        return self._description() + (" or null" if self.accepts_missing else "")

    def fill(self, values: Sequence[Any], buffer: Buffer, starts: np.ndarray) -> None:
        """Write the blocks of `values` into rows of zeros.

        `starts` has the first cell of each row in the flat matrix. Raises InvalidValue for an
        invalid value.
        """
        cells = buffer.cells
        for value, start in zip(values, (starts + self.start).tolist()):
            for position, cell in self.cells(value):
                cells[start + position] = cell


class Number(Column):
    """A number: its value, a bin between `edges`, or a scaled value and pieces.

    - With none of the following, a number keeps its value in one cell.
    - With `edges`, each bin has a cell. `edges` are the inner borders of the bins. A value on a
      border belongs to the bin above it, as in scikit-learn's KBinsDiscretizer.
    - With `scale`, the first cell has the value minus `scale[0]`, divided by `scale[1]`.
    - With `knots`, each knot has a cell. A value between two knots is split between their cells in
      proportion to its distance, as in scikit-learn's SplineTransformer of degree 1.

    `scale` and `knots` need `limits`, the least and the greatest value. A value outside counts as
    the nearest limit, so an outlier has a limited effect.
    """

    def __init__(self, plain: dict[str, Any], start: int):
        self.edges: list[float] | None = plain.get("edges")
        self._limits: list[float] | None = plain.get("limits")
        self._scale: list[float] | None = plain.get("scale")
        self._knots: list[float] = plain.get("knots", [])
        self._first_knot = 1 if self._scale else 0
        width = 1
        if self.edges is not None:
            width = len(self.edges) + 1
        elif self._limits is not None:
            width = self._first_knot + len(self._knots)
        super().__init__(plain, start, width)

    @property
    def has_simple_cells(self) -> bool:
        """Whether a number is one cell: its value or its bin."""
        return self._limits is None

    def _cells(self, value: Any) -> Cells:
        if type(value) not in NUMERIC or not -FLOAT32_MAX <= value <= FLOAT32_MAX:
            raise InvalidValue(self.expected())
        return self.number_cells(value)

    def number_cells(self, value: float) -> Cells:
        """Return the cells of a finite number."""
        if self.edges is not None:
            return ((bisect_right(self.edges, value), 1.0),)
        if self._limits is None:
            return ((0, value),)
        inside = min(max(value, self._limits[0]), self._limits[1])
        cells = []
        if self._scale is not None:
            cells.append((0, (inside - self._scale[0]) / self._scale[1]))
        if self._knots:
            knots = self._knots
            left = min(bisect_right(knots, inside), len(knots) - 1) - 1
            share = (inside - knots[left]) / (knots[left + 1] - knots[left])
            place = self._first_knot + left
            cells += [(place, 1.0 - share), (place + 1, share)]
        return cells

    def _description(self) -> str:
        return "a finite number"

    def fill(self, values: Sequence[Any], buffer: Buffer, starts: np.ndarray) -> None:
        if not NUMERIC.issuperset(map(type, values)):
            return super().fill(values, buffer, starts)
        numbers = np.fromiter(values, np.float64, len(values))
        if not (np.abs(numbers) <= FLOAT32_MAX).all():
            raise InvalidValue(self.expected())

        if self.edges is not None:
            bins = np.searchsorted(self.edges, numbers, side="right")
            buffer.flat[starts + self.start + bins] = 1.0
        elif self._limits is None:
            buffer.matrix[:, self.start] = numbers
        else:
            self._fill_limited(np.clip(numbers, *self._limits), buffer, starts)
        return None

    def _fill_limited(self, inside: np.ndarray, buffer: Buffer, starts: np.ndarray) -> None:
        """Write the scaled values and the pieces of numbers inside the limits."""
        if self._scale is not None:
            buffer.matrix[:, self.start] = (inside - self._scale[0]) / self._scale[1]
        if self._knots:
            knots = np.array(self._knots)
            left = np.searchsorted(knots, inside, side="right") - 1
            left = np.minimum(left, len(knots) - 2)
            share = (inside - knots[left]) / (knots[left + 1] - knots[left])
            places = starts + self.start + self._first_knot + left
            buffer.flat[places] = 1.0 - share
            buffer.flat[places + 1] = share


class Unused(Column):
    """A column of which training saw no values.

    It has no cells, and any value is valid.
    """

    def __init__(self, plain: dict[str, Any], start: int):
        super().__init__({**plain, "missing": []}, start, 0)

    def _cells(self, value: Any) -> Cells:
        return ()

    def _value(self, value: Any) -> Any:
        return None

    def _description(self) -> str:
        return "any value"


def nonzero(block: Sequence[float | None]) -> Cells:
    """Return the nonzero cells of a block, in which None is NaN."""
    numbers = [float("nan") if cell is None else cell for cell in block]
    return tuple((position, cell) for position, cell in enumerate(numbers) if cell != 0)
