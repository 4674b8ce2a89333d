"""Split a table into the training part and the held-out part.

The table is split before anything is fitted on it.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from utils.dataset.description import Description
from utils.errors import TrainingError

HELD_OUT = 0.3
SEED = 0


class Parts(NamedTuple):
    """The rows on which the model is fitted, and the rows on which it is scored."""

    train: pd.DataFrame
    held_out: pd.DataFrame


def split(
    table: pd.DataFrame,
    description: Description,
    train_rows: int | None = None,
    test: pd.DataFrame | None = None,
) -> Parts:
    """Return the training part and the held-out part of `table`.

    `test` is the table of a test file, which is held out completely. With `train_rows`, the first
    rows are the training part. Otherwise, the description's `split` decides: the latest rows by a
    column, complete groups, or 30 % at random with the same share of each class.
    Raises TrainingError if a part lacks what training or scoring needs.
    """
    label = description.label.name
    kind, _, column = description.split.partition(":")
    if test is not None:
        parts = Parts(table, test)
    elif train_rows is not None:
        parts = first_rows(table, train_rows)
    elif kind == "time":
        parts = latest_rows(table, column)
    elif kind == "group":
        parts = groups(table, column)
    else:
        return at_random(table, label if description.task == "classification" else None)
    check_parts(parts, description, train_rows)
    return parts


def first_rows(table: pd.DataFrame, train_rows: int) -> Parts:
    """Return the first `train_rows` rows and all others."""
    if train_rows >= len(table):
        raise TrainingError(
            f"train_rows {train_rows}: no held-out rows are left ({len(table)} rows). Choose fewer."
        )
    return Parts(table.iloc[:train_rows], table.iloc[train_rows:])


def latest_rows(table: pd.DataFrame, column: str) -> Parts:
    """Hold out the rows with the greatest values in `column`.

    Rows without a value are in the training part.
    """
    ordered = table.sort_values(column, kind="stable", na_position="first")
    train_rows = len(table) - round(len(table) * HELD_OUT)
    return Parts(ordered.iloc[:train_rows], ordered.iloc[train_rows:])


def groups(table: pd.DataFrame, column: str) -> Parts:
    """Hold out all rows of some groups, about 30 % of the groups."""
    names = table[column].astype(str)
    count = names.nunique()
    if count < 2:
        raise TrainingError(
            f"split: column {column!r} has {count} group. Expected at least two groups."
        )
    splitter = GroupShuffleSplit(1, test_size=HELD_OUT, random_state=SEED)
    train, held_out = next(splitter.split(table, groups=names))
    return Parts(table.iloc[train], table.iloc[held_out])


def at_random(table: pd.DataFrame, label: str | None) -> Parts:
    """Hold out 30 % of the rows, with the same share of each class of `label`."""
    classes = None if label is None else table[label]
    if classes is not None:
        check_counts(classes)
    try:
        parts = train_test_split(table, test_size=HELD_OUT, random_state=SEED, stratify=classes)
    except ValueError as error:
        raise TrainingError(f"{len(table)} rows can't be split by class: {error}") from error
    return Parts(*parts)


def check_counts(classes: pd.Series) -> None:
    """Raise TrainingError if a class has only one row, which cannot be in both parts."""
    counts = classes.value_counts(sort=False)
    single = [repr(value) for value in counts[counts == 1].index.tolist()]
    if single:
        listed = ", ".join(single[:5]) + (f" and {len(single) - 5} more" if single[5:] else "")
        raise TrainingError(
            f"label {classes.name!r}: {len(single)} of {len(counts)} classes have only one row: "
            f"{listed}. Each class needs at least two rows: remove these rows, or add others."
        )


def check_parts(parts: Parts, description: Description, train_rows: int | None) -> None:
    """Raise TrainingError if a part has no rows, or if classes are missing."""
    name = f"train_rows {train_rows}" if train_rows is not None else "split"
    if not len(parts.train) or not len(parts.held_out):
        raise TrainingError(f"{name}: a part has no rows. Expected rows for training and scoring.")
    if description.task == "regression":
        return

    label = description.label.name
    train, held_out = (set(part[label].tolist()) for part in parts)
    only = sorted(map(repr, held_out - train))[:5]
    if only or len(held_out) < 2:
        found = f"only the held-out rows have {', '.join(only)}" if only else "they have one class"
        raise TrainingError(
            f"{name}: a class of {label!r} is missing in the training or the held-out rows: "
            f"{found}. Change `split`, `test` or `train_rows`."
        )
