"""Infer from its values what the description does not state about a column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from utils.dataset.date_formats import fitting_formats
from utils.dataset.description import Column, Stated
from utils.dataset.kinds import INTEGER, integer_of, numbers_of
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
LEADING_ZERO = re.compile(r"\x000\d+\x00", re.ASCII)
PART_NUMBER = re.compile(r"\d+E\d+", re.ASCII)
ID_NAME = re.compile(r"(?:.*[^a-zA-Z])?(?:id|uuid|key|index|ID)|.*[a-z](?:Id|ID)")
HAS_DIGIT = re.compile(r"\d")
SAMPLE = 100
# More different values than these that are not numbers are not errors.
FEW_OTHERS = 3
UNITS = "%€$£¥"
# The ways to write numbers, as decimal point and thousands separator; the first that fits counts.
SPELLINGS = ((".", ""), (".", ","), (",", ""), (",", "."), (".", "'"), (",", " "), (",", "\u00a0"))
# A number as label is a class if it has at most FEW_CLASSES values, with ROWS_PER_CLASS on average.
FEW_CLASSES = 20
ROWS_PER_CLASS = 5
# In a column with fewer rows, different values don't prove that it is an id.
FEW_ROWS = 20
# Texts have several words and rarely repeat. Categories have few words, or repeat.
WORDS_OF_TEXT = 3
MOSTLY_DISTINCT = 0.95


@dataclass(frozen=True)
class Inferred:
    """What is stated and inferred about a column.

    `problem` is the reason to ignore the column, or "". `formats` are the formats of a date if
    none or several fit.
    """

    column: Column
    problem: str = ""
    formats: tuple[str, ...] = ()


def infer_column(name: str, distinct: Distinct, stated: Stated, separator: str) -> Inferred:
    """Return what is stated and inferred about a column that is not the label."""
    settings = stated.get("columns", {}).get(name, {})
    missing = settings.get("missing", stated.get("missing"))
    column = stated_column(name, settings, stated)

    texts = distinct.without(missing or [""])
    values = texts if missing else [text for text in texts if text not in MISSING]
    if not column.kind:
        column = with_kind(column, values or texts, distinct, separator)
    if missing is None:
        missing = ["", *missing_texts(column.kind, texts), *column.missing]
    column = replace(column, missing=tuple(missing))

    problem = problem_of(column, distinct, is_stated=bool(settings))
    if column.kind == "category":
        return Inferred(replace(column, values=type_of_values(distinct, column)), problem)
    if column.kind == "date" and not column.format:
        formats = fitting_formats(distinct.without(missing), MOSTLY)
        format = formats[0] if len(formats) == 1 else ""
        return Inferred(replace(column, format=format), problem, formats)
    return Inferred(column, problem)


def stated_column(name: str, settings: Stated, stated: Stated) -> Column:
    """Return a column with the stated settings; its kind may be empty."""
    return Column(
        name,
        settings.get("kind", ""),
        format=settings.get("format", ""),
        decimal=settings.get("decimal", str(stated.get("decimal", "."))),
        thousands=settings.get("thousands", ""),
        unit=settings.get("unit", ""),
    )


def with_kind(column: Column, values: Sequence[str], distinct: Distinct, separator: str) -> Column:
    """Return the column with the kind that its distinct values have.

    `missing` are placeholders among numbers.
    """
    if are_booleans(values):
        return replace(column, kind="boolean")
    number, others = with_spelling(column, values, separator)
    if number is not None:
        return replace(number, kind="number", missing=placeholders(others, distinct))
    if fitting_formats(values, MOSTLY):
        return replace(column, kind="date")
    return replace(column, kind="text" if is_prose(values, distinct) else "category")


def are_booleans(values: Sequence[str]) -> bool:
    """Return whether all values are true or false."""
    return bool(values) and all(text.lower() in ("true", "false") for text in values)


def with_spelling(
    column: Column, values: Sequence[str], separator: str
) -> tuple[Column | None, list[str]]:
    """Return the column with the spelling of its numbers, and its other values.

    If it has no numbers, the column is None.
    """
    if not values or is_code(values):
        return None, []
    unit = column.unit or next((unit for unit in UNITS if unit in values[0]), "")
    for decimal, thousands in ((column.decimal, column.thousands), *SPELLINGS):
        # "1,234" can be read in two ways. If commas separate the values of the file, numbers are
        # rarely written with a decimal comma.
        is_comma_file = separator == ","
        if decimal == "," and is_comma_file and column.decimal != ",":
            continue
        if thousands == "," and not is_comma_file and not any("." in text for text in values):
            continue
        candidate = replace(column, decimal=decimal, thousands=thousands, unit=unit)
        # These few values show that most columns of texts have no numbers.
        sample = values[:SAMPLE]
        if len(other_texts(sample, candidate)) == len(sample):
            continue
        others = other_texts(values, candidate)
        if len(others) <= (1 - MOSTLY) * len(values):
            with_digits = [text for text in others if HAS_DIGIT.search(text)]
            return (candidate if len(with_digits) <= FEW_OTHERS else None), others
    return None, []


def other_texts(values: Sequence[str], column: Column) -> list[str]:
    """Return the values of a column of numbers that are not numbers.

    Infinite numbers are numbers, so that they are reported as invalid and do not become categories.
    """
    numbers = numbers_of([*values], column)
    others = [values[i] for i in np.flatnonzero(np.isnan(numbers))]
    return [text for text in others if not INFINITY.fullmatch(text)]


def placeholders(others: Sequence[str], distinct: Distinct) -> tuple[str, ...]:
    """Return the texts that mean missing in a column of numbers: "not stated".

    Such a text has no digits and occurs in several rows. If there are many, they are values.
    """
    if not others:
        return ()
    counts = dict(zip(distinct.texts, np.bincount(distinct.codes).tolist()))
    found = [text for text in others if counts[text] > 1 and not HAS_DIGIT.search(text)]
    return tuple(found) if len(found) <= FEW_OTHERS else ()


def is_code(values: Sequence[str]) -> bool:
    """Return whether values are codes: 01234, 12E5, integers beyond float64."""
    if have_leading_zero(values):
        return True
    if all(map(PART_NUMBER.fullmatch, values)):
        return True
    large = [integer_of(text) for text in values if len(text) > 15 and INTEGER.fullmatch(text)]
    return len(set(map(float, large))) < len(set(large))


def have_leading_zero(values: Sequence[str]) -> bool:
    """Return whether one of the values is a number with a leading zero: 01234."""
    return bool(LEADING_ZERO.search("\0".join(["", *values, ""])))


def is_prose(values: Sequence[str], distinct: Distinct) -> bool:
    """Return whether the values are texts and not categories."""
    if not values:
        return False
    words = sum(len(text.split()) for text in values) / len(values)
    share = len(values) / len(distinct.codes)
    if words >= 2 * WORDS_OF_TEXT or (words >= WORDS_OF_TEXT and share > 0.5):
        return True
    return words >= 2 and share >= MOSTLY_DISTINCT


def missing_texts(kind: str, texts: Sequence[str]) -> list[str]:
    """Return the texts in a column that mean missing, in addition to the empty one."""
    if kind == "text":
        return []
    if kind != "category":
        return [text for text in texts if text in MISSING]
    found = [text for text in texts if text in MISSING_CATEGORIES]
    others = [text for text in texts if text not in found]
    if have_codes_like_na(others):
        found = [text for text in found if text != "NA"]
    return found


def have_codes_like_na(values: Sequence[str]) -> bool:
    """Return whether most values have two capital letters, as NA for Namibia has."""
    return sum(len(t) == 2 and t.isalpha() and t.isupper() for t in values) > len(values) / 2


def type_of_values(distinct: Distinct, column: Column, is_label: bool = False) -> str:
    """Return the type of the values of a category, `Column.values`."""
    values = distinct.without(column.missing)
    if values and all(map(INTEGER.fullmatch, values)):
        return "integer"
    if is_label and values and np.isfinite(numbers_of(values, column)).all():
        return "decimal"
    return "text"


def problem_of(column: Column, distinct: Distinct, is_stated: bool) -> str:
    """Return why a column can't help a model, or "".

    A column that is stated is used, unless it has no values.
    """
    values = distinct.without(column.missing)
    if not values:
        return "has no values"
    if is_stated:
        return ""
    if len(distinct.texts) == 1:
        return f"is constant ({values[0][:30]!r})"
    if not column.name:
        return "has no name, like a saved index"
    if len(distinct.codes) < FEW_ROWS:
        return ""
    return id_problem(column, values, len(distinct.codes))


def id_problem(column: Column, values: Sequence[str], rows: int) -> str:
    """Return why a column is an id, or ""."""
    if column.kind == "category" and len(values) >= MOSTLY_DISTINCT * rows:
        return "has a different value in almost every row, like an id"
    if column.kind != "number" or len(values) < rows or not all(map(INTEGER.fullmatch, values)):
        return ""
    steps = np.diff([integer_of(text) for text in values])
    if (steps == steps[0]).all():
        return "contains row numbers"
    return "has a different value in each row, like an id" if ID_NAME.fullmatch(column.name) else ""


def infer_label(distinct: Distinct, stated: Stated, separator: str) -> tuple[Column, str]:
    """Return the label and the task."""
    settings = stated["label"]
    column = stated_column(settings["name"], settings, stated)
    column = replace(column, missing=tuple(settings.get("missing", [""])))
    values = distinct.without(column.missing)
    number, _ = with_spelling(column, [t for t in values if t not in MISSING], separator)
    kind = column.kind or kind_of_label(values, distinct, number, stated.get("task", ""))
    if kind == "number":
        is_spelled = {"decimal", "thousands", "unit"} & settings.keys()
        number = column if is_spelled else number or column
        return replace(number, kind=kind), "regression"
    values_type = type_of_values(distinct, column, is_label=True)
    return replace(column, kind=kind, values=values_type), "classification"


def kind_of_label(
    values: Sequence[str], distinct: Distinct, number: Column | None, task: str
) -> str:
    """Return the kind of a label whose kind is not stated.

    `number` is the column as a column of numbers, or None.
    """
    if task == "regression":
        return "number"
    if are_booleans(values):
        return "boolean"
    if task == "classification" or number is None:
        return "category"
    few = min(FEW_CLASSES, max(2, len(distinct.codes) / ROWS_PER_CLASS))
    return "category" if len(values) <= few else "number"
