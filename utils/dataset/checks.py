"""Report what a person should know about a column before a model is trained."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import numpy as np

from utils.dataset.description import Column
from utils.dataset.infer import have_codes_like_na
from utils.dataset.text_table import Distinct


def warnings_of(column: Column, distinct: Distinct, numbers: np.ndarray) -> Iterator[str]:
    """Yield what a person should know about a column.

    `numbers` are the values of a column of numbers.
    """
    name = f"column {column.name!r}"
    values = distinct.without(column.missing)
    if column.kind == "number":
        distinct_numbers = np.unique(numbers[np.isfinite(numbers)])
        lost = len(distinct_numbers) - len(np.unique(distinct_numbers.astype(np.float32)))
        if lost and (distinct_numbers == np.round(distinct_numbers)).all():
            advice = "State the kind category or date, or add the column to `ignore`."
            yield f"{name}: {lost:,} values are equal to others in float32. {advice}"
        return
    if "NA" in values and have_codes_like_na(values):
        advice = 'If it means missing, state missing = ["", "NA"].'
        yield f"{name}: NA is a category, because the others have two letters too. {advice}"
    composed = {unicodedata.normalize("NFC", text) for text in values if not text.isascii()}
    spellings = sum(not text.isascii() for text in values)
    if column.kind != "text" and len(composed) < spellings:
        advice = "Write them in one way, for example in Unicode's form NFC."
        yield f"{name}: some categories differ only in how their accents are encoded. {advice}"
