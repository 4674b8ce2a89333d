"""Convert the texts of a column to values of its kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from utils.dataset.date_formats import parse_dates
from utils.dataset.description import Column

FLOAT32_MAX = float(np.finfo(np.float32).max)
# Python's float and int accept more: 1_000, infinity and digits of other scripts.
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})(\.0+)?", re.ASCII)
TRUE = ("true", "t", "yes", "y", "1", "on")
FALSE = ("false", "f", "no", "n", "0", "off")
BOOLEANS = {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}
EXPECTED = {
    "number": "a finite number",
    "boolean": "true or false",
    "category": "a whole number",
}


def number_of(text: str, column: Column) -> float | None:
    """Return the number that `text` is in the column's spelling, or None."""
    if column.unit:
        text = text.removeprefix(column.unit).removesuffix(column.unit).strip()
    if column.thousands:
        text = text.replace(column.thousands, "")
    if column.decimal != ".":
        if "." in text:
            return None
        text = text.replace(column.decimal, ".")
    if not NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if abs(number) <= FLOAT32_MAX else None


def boolean_of(text: str, column: Column) -> bool | None:
    """Return the boolean that `text` is, or None."""
    return BOOLEANS.get(text.lower())


def category_of(text: str, column: Column) -> str | int | float | None:
    """Return the category that `text` is, or None if it is not of the type of the others."""
    if column.values == "text":
        return text
    if column.values == "integer":
        return int(text.partition(".")[0]) if INTEGER.fullmatch(text) else None
    return number_of(text, column)


def text_of(text: str, column: Column) -> str:
    """Return `text`, which is any text."""
    return text


CONVERSIONS: dict[str, Callable[[str, Column], Any]] = {
    "number": number_of,
    "boolean": boolean_of,
    "category": category_of,
    "text": text_of,
}


def convert(texts: Sequence[str], column: Column) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of distinct `texts`, and whether each one is invalid.

    A missing value is NaN, NaT or None, and is valid.
    """
    is_missing = np.isin(np.array(texts, dtype=object), list(column.missing))
    if column.kind == "date":
        values = parse_dates(texts, column.format)
        values[is_missing] = np.datetime64("NaT")
        return values, np.isnat(values) & ~is_missing

    conversion = CONVERSIONS[column.kind]
    values = np.empty(len(texts), dtype=object)
    for i, text in enumerate(texts):
        values[i] = None if is_missing[i] else conversion(text, column)
    invalid = np.array([value is None for value in values], dtype=bool) & ~is_missing
    return (values.astype(np.float64) if column.kind == "number" else values), invalid
