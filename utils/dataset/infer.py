"""Infer from its values what the description does not state about a column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from utils.dataset.date_formats import fitting_formats
from utils.dataset.description import Column, Stated
from utils.dataset.kinds import INTEGER, NUMBER, number_of
from utils.dataset.text_table import Distinct

# A column is of a kind if this share of its distinct values is. The other values are then reported
# as invalid, with their lines.
MOSTLY = 0.9
# These texts mean missing in a column of numbers, dates or booleans.
MISSING = frozenset(
    "NA N/A n/a na NaN nan null NULL None none <NA> #N/A ? - -- . missing unknown".split()
)
# These texts mean missing in a column of categories too, unless they are codes like the others.
MISSING_CATEGORIES = frozenset("NA N/A n/a NaN nan null NULL <NA> #N/A".split())
INFINITY = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
LEADING_ZERO = re.compile(r"0\d+", re.ASCII)
PART_NUMBER = re.compile(r"\d+E\d+", re.ASCII)
UNITS = "%€$£¥"
# Pairs of decimal point and thousands separator. In a file with commas as separators, a comma in a
# number is more often a thousands separator.
SPELLINGS = ((".", ""), (".", ","), (",", ""), (",", "."), (".", "'"), (",", " "), (",", "\u00a0"))
FEW_CLASSES = 20
ROWS_PER_CLASS = 5
FEW_ROWS = 20
WORDS_OF_TEXT = 3


@dataclass(frozen=True)
class Inferred:
    """What was inferred about a column.

    `problem` is the reason to ignore the column, or "". `formats` are the formats of a date if
    several of them fit.
    """

    column: Column
    problem: str = ""
    formats: tuple[str, ...] = ()


def infer_column(name: str, distinct: Distinct, settings: Stated, defaults: Stated) -> Inferred:
    """Return what is stated and inferred about a feature.

    `settings` are the stated settings of the column, `defaults` those of the file.
    """
    column = Column(
        name,
        settings.get("kind", ""),
        format=settings.get("format", ""),
        decimal=settings.get("decimal", defaults.get("decimal", ".")),
        thousands=settings.get("thousands", ""),
        unit=settings.get("unit", ""),
    )
    missing = settings.get("missing", defaults.get("missing"))
    texts = [text for text in distinct.texts if text not in (missing or [""])]
    values = [text for text in texts if missing is not None or text not in MISSING]
    if not column.kind:
        if not texts:
            return Inferred(replace(column, kind="category", missing=("",)), "has no values")
        column = with_kind(column, values, distinct, defaults.get("separator", ","))
    if missing is None:
        missing = ["", *missing_texts(column.kind, texts)]
    column = replace(column, missing=tuple(missing))
    formats: tuple[str, ...] = ()
    if column.kind == "category":
        column = replace(column, values=type_of_categories(texts, column))
    if column.kind == "date" and not column.format:
        formats = fitting_formats(values, MOSTLY)
        column = replace(column, format=formats[0] if len(formats) == 1 else "")
    problem = "" if settings.get("kind") else problem_of(column, distinct)
    return Inferred(column, problem, formats)


def with_kind(column: Column, values: Sequence[str], distinct: Distinct, separator: str) -> Column:
    """Return the column with the kind that its distinct values have."""
    if values and all(text.lower() in ("true", "false") for text in values):
        return replace(column, kind="boolean")
    number = with_number_spelling(column, values, separator)
    if number is not None:
        return replace(number, kind="number")
    if fitting_formats(values, MOSTLY):
        return replace(column, kind="date")
    return replace(column, kind="text" if is_prose(values, distinct) else "category")


def with_number_spelling(column: Column, values: Sequence[str], separator: str) -> Column | None:
    """Return the column with the way its numbers are written, or None if it has no numbers."""
    if not values or is_code(values):
        return None
    unit = next((unit for unit in UNITS if unit in values[0]), "")
    for decimal, thousands in SPELLINGS:
        if decimal == "," and separator == ",":
            continue
        if thousands == "," and separator != "," and not any("." in text for text in values):
            continue
        candidate = replace(column, decimal=decimal, thousands=thousands, unit=unit)
        if share_of_numbers(values, candidate) >= MOSTLY:
            return candidate
    return None


def is_code(values: Sequence[str]) -> bool:
    """Return whether values of digits are codes: 01234, 12E5, or integers beyond float64."""
    if any(map(LEADING_ZERO.fullmatch, values)):
        return True
    if sum(bool(PART_NUMBER.fullmatch(text)) for text in values) > len(values) / 2:
        return True
    integers = [text for text in values if INTEGER.fullmatch(text)]
    return len(set(map(float, integers))) < len(set(map(int_of, integers)))


def int_of(text: str) -> int:
    """Return an integer that may be written as 2.0."""
    return int(text.partition(".")[0])


def share_of_numbers(values: Sequence[str], column: Column) -> float:
    """Return the share of `values` that are numbers in the column's spelling.

    Infinite numbers count, so that they are reported as invalid.
    """
    count = 0
    for text in values:
        if number_of(text, column) is not None or INFINITY.fullmatch(text):
            count += 1
        elif NUMBER.fullmatch(text):
            # The number is beyond float32.
            count += 1
    return count / len(values)


def is_prose(values: Sequence[str], distinct: Distinct) -> bool:
    """Return whether the values are texts of several words, most of which occur once."""
    if not values:
        return False
    words = sum(len(text.split()) for text in values) / len(values)
    occurrences = len(distinct.codes) / len(values)
    return words >= WORDS_OF_TEXT and (occurrences < 2 or words >= 2 * WORDS_OF_TEXT)


def missing_texts(kind: str, texts: Sequence[str]) -> list[str]:
    """Return the texts in a column that mean missing, in addition to the empty one."""
    if kind == "text":
        return []
    known = MISSING_CATEGORIES if kind == "category" else MISSING
    found = [text for text in texts if text in known]
    if kind == "category" and are_two_letter_codes([text for text in texts if text not in found]):
        found = [text for text in found if text != "NA"]
    return found


def are_two_letter_codes(values: Sequence[str]) -> bool:
    """Return whether most values have two capital letters, as NA for Namibia has."""
    return sum(len(t) == 2 and t.isalpha() and t.isupper() for t in values) > len(values) / 2


def type_of_categories(texts: Sequence[str], column: Column, is_label: bool = False) -> str:
    """Return the type of the categories, `Column.values`."""
    values = [text for text in texts if text not in column.missing]
    if values and all(map(INTEGER.fullmatch, values)):
        return "integer"
    if is_label and values and all(number_of(text, column) is not None for text in values):
        return "decimal"
    return "text"


def problem_of(column: Column, distinct: Distinct) -> str:
    """Return why a column can't help a model, or ""."""
    values = [text for text in distinct.texts if text not in column.missing]
    rows = len(distinct.codes)
    if not values:
        return "has no values"
    if len(distinct.texts) == 1:
        return f"is constant ({values[0][:30]!r})"
    if len(values) < rows or rows < FEW_ROWS:
        return ""
    if column.kind == "category":
        return "has a different value in each row, like an id"
    if column.kind == "number" and all(map(INTEGER.fullmatch, values)):
        numbers = np.array([int_of(text) for text in distinct.texts])[distinct.codes]
        if len(set(np.diff(numbers).tolist())) == 1:
            return "counts the rows"
        if re.search(r"(?:^|[^a-z])(id|uuid|key|index)$|[a-z](Id|ID)$", column.name):
            return "has a different value in each row, like an id"
    return ""


def infer_label(distinct: Distinct, stated: Stated) -> tuple[Column, str]:
    """Return the label and the task."""
    settings: dict[str, Any] = stated["label"]
    name = settings["name"]
    kind = settings.get("kind", "")
    task = stated.get("task", "")
    missing = tuple(settings.get("missing", [""]))
    values = [text for text in distinct.texts if text not in missing]
    column = Column(
        name,
        kind,
        missing=missing,
        decimal=settings.get("decimal", stated.get("decimal", ".")),
        thousands=settings.get("thousands", ""),
        unit=settings.get("unit", ""),
    )
    spelled = column
    if not {"decimal", "thousands", "unit"} & settings.keys():
        spelled = with_number_spelling(column, values, stated.get("separator", ",")) or column
    is_number = bool(values) and share_of_numbers(values, spelled) == 1 and not is_code(values)
    if not kind:
        kind = label_kind(values, len(distinct.codes), is_number, task)
    if kind == "number":
        return replace(spelled, kind=kind), "regression"
    values_type = type_of_categories(values, column, is_label=True)
    return replace(column, kind=kind, values=values_type), "classification"


def label_kind(values: Sequence[str], rows: int, is_number: bool, task: str) -> str:
    """Return the kind of a label whose kind is not stated."""
    if task == "regression":
        return "number"
    if values and all(text.lower() in ("true", "false") for text in values):
        return "boolean"
    if task == "classification" or not is_number:
        return "category"
    few = len(values) <= min(FEW_CLASSES, max(2, rows / ROWS_PER_CLASS))
    return "category" if few else "number"
