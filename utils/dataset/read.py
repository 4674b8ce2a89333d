"""Read a data set: the table and its description.

The values of the data frame have these types:

- number: float64, NaN is missing
- category: object, each value a str, or an int if all categories are integers; None is missing
- boolean: object, True and False; None is missing
- date: datetime64[us] in UTC, NaT is missing
- text: object, each value a str; None is missing

The label has no missing values, therefore its type is int64, float64, bool, or object for texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from utils.dataset.checks import warnings_of
from utils.dataset.description import (
    Column,
    Description,
    Stated,
    description_path,
    read_description,
    suggest,
)
from utils.dataset.infer import MISSING, Inferred, infer_column, infer_label
from utils.dataset.kinds import EXPECTED, convert
from utils.dataset.text_table import Distinct, TextTable, read_texts
from utils.errors import TrainingError
from utils.table.rows import truncate

LABEL_TYPES = {
    "text": object,
    "integer": np.int64,
    "decimal": np.float64,
    "boolean": bool,
    "number": np.float64,
}


def read_dataset(path: Path | str) -> tuple[pd.DataFrame, Description]:
    """Return the table in `path` and its complete description.

    The data frame has the features, `description.others` and the label. Raises TrainingError, which
    names the column, the line and the value.
    """
    path = Path(path)
    file = description_path(path)
    if not file.is_file():
        command = f"make describe DATASET_NAME={path} LABEL=COLUMN"
        raise TrainingError(f"{file}: no such file. Write it with `{command}`.")
    check_inside(file, path.parent)
    stated = read_description(file)
    table = read_texts(path, stated.get("encoding", ""), stated.get("separator", ""))
    return DatasetBuilder(table, stated).build()


def read_test(path: Path | str, description: Description) -> pd.DataFrame:
    """Return the table in the test file that the description of `path` names.

    Raises TrainingError, as read_dataset.
    """
    path = Path(path)
    file = path.parent / description.test
    if not file.is_file():
        raise TrainingError(f"{file}: no such file. Correct `test` in {description_path(path)}.")
    check_inside(file, path.parent)
    table = read_texts(file, description.encoding, description.separator)
    frame = {}
    for column in (*description.columns, *description.others, description.label):
        if column.name not in table.names:
            problem = f"{file}: no column {column.name!r}"
            raise TrainingError(f"{problem}. {suggest(column.name, table.names)}")
        frame[column.name] = convert_column(table, column, table.factorize(column.name))
    return labelled_rows(pd.DataFrame(frame), description.label)


def check_inside(file: Path, folder: Path) -> None:
    """Raise TrainingError if `file` is not inside `folder`, or links elsewhere."""
    if folder.resolve() not in file.resolve().parents:
        raise TrainingError(f"{file}: not a file inside {folder}/. Copy it there.")


class DatasetBuilder:
    """Builds the data frame and the complete description, column by column."""

    def __init__(self, table: TextTable, stated: Stated):
        self.table = table
        self.stated = stated
        self.frame: dict[str, pd.Series] = {}
        self.columns: list[Column] = []
        self.others: list[Column] = []
        self.ignore: list[str] = list(stated.get("ignore", ()))

    def build(self) -> tuple[pd.DataFrame, Description]:
        """Return the data frame and the description. Raises TrainingError."""
        check_names(self.table, self.stated)
        for name in self.table.names:
            role = role_of(name, self.stated)
            if role == "label":
                label, task = self.add_label(name)
            elif role != "ignored":
                self.add_column(name, role)

        stated = self.stated
        description = Description(
            label,
            task,
            tuple(self.columns),
            tuple(self.others),
            tuple(self.ignore),
            split=stated.get("split", ""),
            test=stated.get("test", ""),
            weight=stated.get("weight", ""),
            groups=tuple(stated.get("groups", ())),
            unknown=stated.get("unknown", ""),
            encoding=self.table.encoding,
            separator=self.table.separator,
            notices=(*self.table.notices, *inferred_kinds(self.columns, stated)),
        )
        frame = labelled_rows(pd.DataFrame(self.frame), label)
        self.check(frame, description)
        return frame, description

    def add_label(self, name: str) -> tuple[Column, str]:
        """Add the label and return it, with the task. Raises TrainingError."""
        distinct = self.table.factorize(name)
        label, task = infer_label(distinct, self.stated, self.table.separator)
        if "missing" not in self.stated["label"]:
            check_labels(self.table, label, distinct)
        self.frame[name] = convert_column(self.table, label, distinct)
        return label, task

    def add_column(self, name: str, role: str) -> None:
        """Add a column that is not the label. Raises TrainingError."""
        distinct = self.table.factorize(name)
        inferred = infer_column(name, distinct, self.stated, self.table.separator)
        column = inferred.column
        notices = self.table.notices
        if role == "feature" and inferred.problem:
            self.ignore.append(name)
            notices.append(f"column {name!r} {inferred.problem}; it is ignored")
            return
        if column.kind == "date" and not column.format:
            raise TrainingError(unclear_format(self.table, inferred))
        (self.columns if role == "feature" else self.others).append(column)
        values = convert_column(self.table, column, distinct)
        self.frame[name] = values
        notices.extend(warnings_of(column, distinct, values))

    def check(self, frame: pd.DataFrame, description: Description) -> None:
        """Raise TrainingError if no model can be trained on the table."""
        path = self.table.path
        name = description.label.name
        distinct = frame[name].unique().tolist()[:2]
        if len(distinct) < 2:
            what = "classes" if description.task == "classification" else "values"
            found = f"found {distinct} in {len(frame):,} rows"
            raise TrainingError(f"{path}: expected at least two {what} of {name!r}, {found}")
        if not self.columns:
            raise TrainingError(f"{path}: no feature is left. Check {description_path(path)}.")
        if description.weight and not (frame[description.weight] >= 0).all():
            problem = f"the weight {description.weight!r} is missing or negative in some rows"
            raise TrainingError(f"{path}: {problem}. Correct these rows.")


def check_names(table: TextTable, stated: Stated) -> None:
    """Raise TrainingError if the table lacks a column that the description names."""
    named = [stated["label"]["name"], *stated.get("columns", ()), *stated.get("ignore", ())]
    known = set(table.names)
    for name in (*named, *used_columns(stated)):
        if name not in known:
            raise TrainingError(
                f"{table.path}: no column {name!r}, but {description_path(table.path)} names it. "
                f"{suggest(name, table.names)}"
            )


def used_columns(stated: Stated) -> list[str]:
    """Return the columns of the weight, the split and the groups."""
    return [*not_features(stated), *stated.get("groups", ())]


def not_features(stated: Stated) -> list[str]:
    """Return the columns of the weight and the split."""
    names = [stated.get("weight", ""), stated.get("split", "").partition(":")[2]]
    return [name for name in names if name]


def role_of(name: str, stated: Stated) -> str:
    """Return the role of a column: label, feature, other or ignored."""
    if name == stated["label"]["name"]:
        return "label"
    if name in stated.get("ignore", ()):
        return "other" if name in used_columns(stated) else "ignored"
    if name in not_features(stated) and name not in stated.get("columns", {}):
        return "other"
    return "feature"


def inferred_kinds(columns: list[Column], stated: Stated) -> Iterator[str]:
    """Yield a sentence for each kind that was inferred for some columns."""
    by_kind: dict[str, list[str]] = {}
    for column in columns:
        if column.name not in stated.get("columns", {}):
            by_kind.setdefault(column.kind, []).append(column.name)
    for kind, names in by_kind.items():
        more = f" and {len(names) - 10:,} more" if len(names) > 10 else ""
        yield f"inferred kind {kind}: {', '.join(names[:10])}{more}"


def unclear_format(table: TextTable, inferred: Inferred) -> str:
    """Return the message for a date whose format is not clear."""
    name = inferred.column.name
    found = "no known date format fits"
    if inferred.formats:
        found = f"{len(inferred.formats)} date formats fit all rows: {', '.join(inferred.formats)}"
    example = (*inferred.formats, "%d.%m.%Y")[0]
    advice = f'"{name}" = {{kind = "date", format = "{example}"}}'
    return f"{table.path}: column {name!r}: {found}. State the format: {advice}"


def check_labels(table: TextTable, label: Column, distinct: Distinct) -> None:
    """Raise TrainingError if the label is missing in some rows.

    In a label of numbers, NA and similar words are missing too. As a class, they are valid.
    """
    absent, missing = rows_without_label(label, distinct)
    if absent:
        count = f"{missing.sum():,} of {len(missing):,} rows have no label {label.name!r}"
        place = table.place(int(np.flatnonzero(missing)[0]))
        texts = ", ".join(f'"{text}"' for text in absent)
        setting = f'label = {{name = "{label.name}", missing = [{texts}]}}'
        raise TrainingError(
            f"{table.path}: {count}, the first one is {place}. {format_classes(label, distinct)}"
            f"Add the labels. To leave these rows out, state {setting}"
        )


def format_classes(label: Column, distinct: Distinct) -> str:
    """Return a sentence with the classes and their rows, the most common first."""
    counts = zip(distinct.texts, np.bincount(distinct.codes).tolist())
    known = sorted(((text, n) for text, n in counts if text), key=lambda pair: -pair[1])
    if label.kind == "number" or not known:
        return ""
    shown = ", ".join(f"{text[:30]!r} ({n:,} rows)" for text, n in known[:10])
    return f"The classes are {shown}{', ...' if len(known) > 10 else ''}. "


def rows_without_label(label: Column, distinct: Distinct) -> tuple[list[str], np.ndarray]:
    """Return the texts that mean "no label", and whether each row has one."""
    words = MISSING if label.kind == "number" else ()
    absent = [text for text in distinct.texts if not text or text in words]
    return absent, np.isin(distinct.codes, [distinct.texts.index(text) for text in absent])


def labelled_rows(frame: pd.DataFrame, label: Column) -> pd.DataFrame:
    """Return the rows that have a label."""
    labelled = frame[frame[label.name].notna()].reset_index(drop=True)
    key = label.values if label.kind == "category" else label.kind
    return labelled.astype({label.name: LABEL_TYPES[key]})


def convert_column(table: TextTable, column: Column, distinct: Distinct) -> pd.Series:
    """Return the values of a column. Raises TrainingError for the first invalid value."""
    values, invalid = convert(distinct.texts, column)
    rows = np.flatnonzero(invalid[distinct.codes])
    if len(rows):
        found = truncate(distinct.texts[distinct.codes[rows[0]]])
        expected = EXPECTED.get(column.kind, f"a date like {column.format}")
        raise TrainingError(
            f"{table.path}: column {column.name!r}, {table.place(int(rows[0]))}: expected "
            f"{expected}, found {found!r}. Correct the value, state it in `missing`, or state "
            "another kind."
        )
    # Without the type, pandas uses a type of its own for texts, whose missing values are NaN.
    return pd.Series(values[distinct.codes], dtype=values.dtype)
