"""Turn checked rows into a DataFrame, the input of a fitted pipeline."""

from __future__ import annotations

from typing import Any

import pandas as pd

from utils.table.columns import Buffer
from utils.table.encoder import TableEncoder

# The types of the columns in training (utils/dataset/kinds.py). All others are `object`.
TYPES = {"number": "float64", "date": "datetime64[us]"}


class FrameEncoder(TableEncoder):
    """A TableEncoder that returns checked rows instead of a matrix.

    `kinds` are the kinds of the columns.
    """

    def __init__(self, scaler: dict[str, Any], kinds: list[str], ignore_unknown: bool = False):
        super().__init__(scaler, ignore_unknown)
        self._types = [TYPES.get(kind, "object") for kind in kinds]

    def encode(self, instances: Any, row_buffer: Buffer | None = None) -> Any:
        """Return the DataFrame of `instances`.

        It has the columns and types of the training part.
        Raises InvalidInstances, as TableEncoder does.
        """
        rows = self._arrange(instances)
        try:
            checked = [
                [column.value(value) for column, value in zip(self.columns, row)] for row in rows
            ]
        except (ValueError, TypeError, OverflowError):
            self._raise_for_first_bad_value(rows)
        values = zip(*checked) if checked else [()] * len(self.columns)
        return pd.DataFrame(
            {
                column.name: pd.Series(found, dtype=dtype)
                for column, found, dtype in zip(self.columns, values, self._types)
            }
        )
