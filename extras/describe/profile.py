"""Summarize the values of a column, and yield what a person should check."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from utils.dataset.checks import warnings_of
from utils.dataset.description import Column
from utils.dataset.infer import Inferred, have_leading_zero
from utils.dataset.kinds import convert
from utils.dataset.read import rows_without_label
from utils.dataset.text_table import Distinct, TextTable

MOST_COMMON = 3
FEW_ROWS_PER_CLASS = 10
FEW_CODES = 10
# The correlation from which a number is a copy of the label, in another unit.
SAME = 0.9999
# Seconds since 1970 of the years 2000 to 2035; the same in milliseconds has three more digits.
EPOCH = (946_684_800, 2_082_758_400)


@dataclass(frozen=True)
class Values:
    """The values of a column, as texts and as values of its kind."""

    column: Column
    distinct: Distinct
    values: np.ndarray
    invalid: np.ndarray

    @cached_property
    def counts(self) -> list[tuple[str, int]]:
        """The texts that are not missing and their counts, the most common first."""
        numbers = np.bincount(self.distinct.codes, minlength=len(self.distinct.texts)).tolist()
        pairs = zip(self.distinct.texts, numbers)
        present = [pair for pair in pairs if pair[0] not in self.column.missing]
        return sorted(present, key=lambda pair: -pair[1])

    @cached_property
    def by_row(self) -> np.ndarray:
        """The value of each row."""
        return self.values[self.distinct.codes]


def values_of(column: Column, distinct: Distinct) -> Values:
    """Return the values of a column; without a format, dates are missing."""
    if column.kind == "date" and not column.format:
        missing = np.full(len(distinct.texts), np.datetime64("NaT"))
        return Values(column, distinct, missing, np.zeros(len(missing), bool))
    return Values(column, distinct, *convert(distinct.texts, column))


def printable(text: str, limit: int = 40) -> str:
    """Return a value for a comment: on one line, truncated."""
    return one_line(text[:limit]) + ("..." if len(text) > limit else "")


def one_line(text: str) -> str:
    """Return a text for a comment, in which a line break could not end the comment."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def percent(count: int, rows: int) -> str:
    """Return a share in percent; a small share has one decimal."""
    share = 100 * count / max(1, rows)
    return f"{share:.1f} %" if 0 < share < 10 else f"{share:.0f} %"


def comment_of(values: Values) -> str:
    """Return a summary: missing, distinct and most common values, or a range."""
    counts = values.counts
    rows = len(values.distinct.codes)
    missing = rows - sum(count for _, count in counts)
    parts = [f"{percent(missing, rows)} missing"] if missing else []
    parts.append(f"{len(counts):,} distinct")
    parts.append(detail_of(values, counts, rows))
    return ", ".join(part for part in parts if part)


def detail_of(values: Values, counts: list[tuple[str, int]], rows: int) -> str:
    """Return the range of numbers and dates, or the most common of other values."""
    known = values.values[pd.notna(values.values)]
    if not len(known):
        return ""
    if values.column.kind == "number":
        are_codes = len(counts) <= FEW_CODES and (known == np.round(known)).all()
        advice = "; a category if they are codes" if are_codes else ""
        return f"{known.min():g} to {known.max():g}{advice}"
    if values.column.kind == "date":
        return f"{str(known.min())[:10]} to {str(known.max())[:10]}"
    if values.column.kind == "text":
        words = [len(text.split()) for text, _ in counts]
        return f"about {np.mean(words):.0f} words"
    common = [f"{printable(text)} {percent(n, rows)}" for text, n in counts[:MOST_COMMON]]
    return ", ".join(common)


def column_warnings(table: TextTable, inferred: Inferred, values: Values) -> Iterator[str]:
    """Yield what a person should check about a column that is not the label."""
    column = values.column
    name = f"column {column.name!r}"
    if inferred.problem:
        yield f"{name} {inferred.problem}. It is in `ignore`."
        yield from number_warnings(values)
        return
    if len(inferred.formats) > 1:
        formats = " or ".join(inferred.formats)
        yield f"{name}: {formats} fit all dates. State one of them, or training stops."
    rows = np.flatnonzero(values.invalid[values.distinct.codes])
    if len(rows):
        text = values.distinct.texts[values.distinct.codes[rows[0]]]
        place = f"the first one is {printable(text)!r} on {table.place(int(rows[0]))}"
        yield f"{name}: {len(rows):,} rows are not of the kind {column.kind}, {place}."
    yield from number_warnings(values)
    yield from warnings_of(column, values.distinct, values.by_row)


def number_warnings(values: Values) -> Iterator[str]:
    """Yield what a person should check about a column of digits."""
    column = values.column
    texts = [text for text, _ in values.counts]
    if column.kind == "category" and have_leading_zero(texts):
        yield f"column {column.name!r}: it has numbers with leading zeros, so it is a category."
    if column.kind != "number" or not all(map(re.compile(r"\d{10}(\d{3})?").fullmatch, texts)):
        return
    scale = 1000 if len(texts[0]) == 13 else 1
    if all(EPOCH[0] * scale <= int(text) <= EPOCH[1] * scale for text in texts):
        yield f"column {column.name!r}: may be dates, as seconds since 1970. Write them as dates."


def label_warnings(values: Values, task: str) -> Iterator[str]:
    """Yield what a person should check about the label."""
    column = values.column
    rows = len(values.distinct.codes)
    absent, is_missing = rows_without_label(column, values.distinct)
    missing = is_missing.sum()
    name = f"label {column.name!r}"
    if missing:
        texts = ", ".join(map(repr, absent))
        advice = f"Training stops at them. To leave them out, add missing = [{texts}] to the label."
        yield f"{name}: {missing:,} of {rows:,} rows have no label. {advice}"
    if task == "regression":
        advice = 'If they are classes, state task = "classification".'
        found = f"{len(values.counts):,} distinct numbers"
        yield f"{name}: {found}, so the task is regression. {advice}"
        return
    rare = [f"{printable(text)} {n}" for text, n in values.counts if n < FEW_ROWS_PER_CLASS]
    if rare:
        more = f" and {len(rare) - 10:,} more" if len(rare) > 10 else ""
        found = f"classes with fewer than ten rows: {', '.join(rare[:10])}{more}"
        yield f"{name}: {found} ({len(values.counts):,} classes). Merge or remove them."


def gives_label_away(values: Values, label: Values, task: str) -> bool:
    """Return whether the label follows from this column alone."""
    if values.column.kind == "number" and task == "regression":
        both = np.isfinite(values.by_row) & np.isfinite(label.by_row)
        pair = values.by_row[both], label.by_row[both]
        if not both.any() or min(map(np.ptp, pair)) == 0:
            return False
        return bool(abs(np.corrcoef(*pair)[0, 1]) >= SAME)
    if values.column.kind == "number" and separates(values.by_row, label.distinct.codes):
        return True
    # With fewer rows per value, the values determine the label by chance.
    if len(values.counts) > len(values.distinct.codes) / 2:
        return False
    pairs = pd.DataFrame({"value": values.distinct.codes, "label": label.distinct.codes})
    return bool((pairs.groupby("value").label.nunique() == 1).all())


def separates(numbers: np.ndarray, classes: np.ndarray) -> bool:
    """Return whether each class is one range of `numbers`."""
    known = np.isfinite(numbers)
    if not known.all():
        return False
    order = np.lexsort((classes, numbers))
    changes = np.count_nonzero(np.diff(classes[order]))
    return bool(changes == len(np.unique(classes)) - 1)
