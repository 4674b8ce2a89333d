"""Columns of categories: texts, whole numbers or booleans."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any

import numpy as np

from utils.table.columns import Buffer, Cells, Column, InvalidValue, nonzero
from utils.table.rows import format_value

UNKNOWN = -1


class Category(Column):
    """A category: one cell for each of `categories`, or a block of `means`.

    `categories` are texts. With `integers`, they are whole numbers. With `texts`, they are false
    and true, and `texts` are the texts that mean one of them. `means` has a block for each
    category, as scikit-learn's TargetEncoder computes it.
    `unknown` is the block of a category that training did not see. Without it, such a category is
    invalid, unless `ignore_unknown` is set. Then its block is zeros.
    """

    def __init__(self, plain: dict[str, Any], start: int, ignore_unknown: bool = False):
        self._categories: list[Any] = plain["categories"]
        means = plain.get("means")
        unknown = plain.get("unknown")
        width = len(self._categories) if unknown is None else len(unknown)
        super().__init__(plain, start, width)

        self._has_unknown_block = unknown is not None
        self.accepts_unknown = ignore_unknown or self._has_unknown_block
        self._unknown = nonzero(unknown or [])
        self._blocks = None if means is None else [nonzero(block) for block in means]
        self.types: set[type] = {str}
        if plain.get("integers"):
            self.types.add(int)
        if "texts" in plain:
            self.types.add(bool)
        self._places = {category: place for place, category in enumerate(self._categories)}
        if self.types != {str}:
            texts = {str(category): category for category in self._categories}
            texts.update(plain.get("texts", {}))
            known = {text: value for text, value in texts.items() if value in self._places}
            self._places |= {text: self._places[value] for text, value in known.items()}
        # The places in a row of the matrix.
        self.cell_of = {category: start + place for category, place in self._places.items()}

    @property
    def is_one_hot_of_texts(self) -> bool:
        """Whether a lookup in `cell_of` gives the only cell of a value."""
        return self._blocks is None and self.types == {str}

    def _cells(self, value: Any) -> Cells:
        place = self._place(value)
        if place is not None:
            return ((place, 1.0),) if self._blocks is None else self._blocks[place]
        if self.accepts_unknown:
            return self._unknown
        raise InvalidValue(self.expected())

    def _place(self, value: Any) -> int | None:
        """Return the place of a category, or None if it is unknown."""
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) not in self.types:
            raise InvalidValue(self.expected())

        place = self._places.get(value)
        if place is None and type(value) is str:
            text = value.strip()
            place = self._places.get(text if self.types == {str} else text.lower())
        return place

    def _value(self, value: Any) -> Any:
        place = self._place(value)
        return value if place is None else self._categories[place]

    def _description(self) -> str:
        names = {True: "true", False: "false"}
        examples = [
            names[category] if type(category) is bool else format_value(category)
            for category in self._categories[:3]
        ]
        more = len(self._categories) - 3
        listed = ", ".join(examples) + (f" and {more} more" if more > 0 else "")
        if self._has_unknown_block:
            return f"{'a text' if self.types == {str} else 'a whole number'} such as {listed}"
        return f"one of {listed}"

    def fill(self, values: Sequence[Any], buffer: Buffer, starts: np.ndarray) -> None:
        if not self.is_one_hot_of_texts:
            return super().fill(values, buffer, starts)
        found = np.fromiter(map(self.cell_of.get, values, repeat(UNKNOWN)), np.intp, len(values))
        is_known = found != UNKNOWN
        if is_known.all():
            buffer.flat[starts + found] = 1.0
            return None

        buffer.flat[(starts + found)[is_known]] = 1.0
        others = np.flatnonzero(~is_known).tolist()
        return super().fill([values[row] for row in others], buffer, starts[others])
