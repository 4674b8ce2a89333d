"""Read a data set: the table and its description.

The values of the data frame have these types:

- number: float64, NaN is missing
- category: object, each value a str, or an int if all categories are integers; None is missing
- boolean: object, True and False; None is missing
- date: datetime64[us], NaT is missing
- text: object, each value a str; None is missing

The label has no missing values, therefore its type is int64, float64, bool, or object for texts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from utils.dataset.description import (
    Column,
    Description,
    Stated,
    description_path,
    read_description,
    suggest,
)
from utils.dataset.infer import Inferred, infer_column, infer_label
from utils.dataset.kinds import EXPECTED, convert
from utils.dataset.text_table import Distinct, TextTable, read_texts
from utils.errors import TrainingError

LABEL_TYPES = {
    "text": object,
    "integer": np.int64,
    "decimal": np.float64,
    "boolean": bool,
    "number": np.float64,
}


def read_dataset(path: Path) -> tuple[pd.DataFrame, Description]:
    """Return the table in `path` and its complete description.

    The data frame has the features, the label and `description.others`. Raises TrainingError, which
    names the column, the line and the value.
    """
    path = Path(path)
    description_file = description_path(path)
    if not description_file.is_file():
        command = f"make describe DATASET_NAME={path} LABEL=COLUMN"
        raise TrainingError(f"{description_file}: no such file. Write it with `{command}`.")
    if description_file.resolve().parent != path.parent.resolve():
        raise TrainingError(f"{description_file}: a link to another folder. Copy the file there.")
    stated = read_description(description_file)
    table = read_texts(path, stated.get("encoding", ""), stated.get("separator", ""))
    return build_dataset(table, stated)


def build_dataset(table: TextTable, stated: Stated) -> tuple[pd.DataFrame, Description]:
    """Return the data frame and the complete description. Raises TrainingError."""
    check_names_of(table, stated)
    name = stated["label"]["name"]
    label, task = infer_label(table.factorize(name), stated)
    frame = {}
    columns = []
    others = []
    ignore = list(stated.get("ignore", ()))
    notices = table.notices
    used = used_columns(stated)
    settings = stated.get("columns", {})
    defaults = {**stated, "separator": table.separator}
    for name in table.names:
        if name == label.name or (name in ignore and name not in used):
            continue
        distinct = table.factorize(name)
        inferred = infer_column(name, distinct, settings.get(name, {}), defaults)
        if name in used and (name in ignore or name not in settings):
            others.append(inferred.column)
        elif inferred.problem or not name:
            notices.append(f"column {name!r} {inferred.problem}; it is ignored")
            ignore.append(name)
            continue
        else:
            columns.append(inferred.column)
        if inferred.column.kind == "date" and not inferred.column.format:
            raise TrainingError(unclear_format(table, inferred))
        frame[name] = converted(table, inferred.column, distinct)
    frame[label.name] = converted(table, label, table.factorize(label.name))
    description = Description(
        label,
        task,
        tuple(columns),
        tuple(others),
        tuple(ignore),
        split=stated.get("split", ""),
        test=stated.get("test", ""),
        weight=stated.get("weight", ""),
        groups=tuple(stated.get("groups", ())),
        unknown=stated.get("unknown", ""),
        encoding=table.encoding,
        separator=table.separator,
        notices=tuple(notices),
    )
    return without_unlabelled_rows(table, pd.DataFrame(frame), description, stated), description


def label_type(label: Column) -> str:
    """Return the key of LABEL_TYPES for a label."""
    return label.values if label.kind == "category" else label.kind


def check_names_of(table: TextTable, stated: Stated) -> None:
    """Raise TrainingError if the description names a column that the table does not have."""
    names = {stated["label"]["name"], *stated.get("columns", ()), *stated.get("ignore", ())}
    names |= used_columns(stated)
    for name in sorted(names - set(table.names)):
        raise TrainingError(
            f"{table.path}: no column {name!r}, which {description_path(table.path)} names. "
            f"{suggest(name, table.names)}"
        )


def used_columns(stated: Stated) -> set[str]:
    """Return the columns of the weight, the split and the groups."""
    used = {stated.get("weight", ""), stated.get("split", "").partition(":")[2]}
    return (used | set(stated.get("groups", ()))) - {""}


def unclear_format(table: TextTable, inferred: Inferred) -> str:
    """Return the message for a date whose format is not clear."""
    name = inferred.column.name
    if inferred.formats:
        found = f"{len(inferred.formats)} date formats fit all rows ({', '.join(inferred.formats)})"
        example = inferred.formats[0]
    else:
        found = "no known date format fits"
        example = "%d.%m.%Y"
    advice = f'"{name}" = {{kind = "date", format = "{example}"}}'
    return f"{table.path}: column {name!r}: {found}. State the format: {advice}"


def without_unlabelled_rows(
    table: TextTable, frame: pd.DataFrame, description: Description, stated: Stated
) -> pd.DataFrame:
    """Return the rows that have a label.

    Raises TrainingError if there are others and the description does not state what a missing label
    is.
    """
    label = description.label.name
    missing = frame[label].isna()
    if not missing.any() or "missing" in stated["label"]:
        labelled = frame[~missing].reset_index(drop=True)
        return labelled.astype({label: LABEL_TYPES[label_type(description.label)]})
    place = table.place(int(np.flatnonzero(missing)[0]))
    setting = f'label = {{name = "{label}", missing = [""]}}'
    raise TrainingError(
        f"{table.path}: {missing.sum():,} of {len(frame):,} rows have no value of the label "
        f"{label!r}, the first one is {place}. To leave these rows out, write {setting}"
    )


def read_test(path: Path, description: Description) -> pd.DataFrame:
    """Return the table in the test file that the description of `path` names.

    Raises TrainingError, as read_dataset.
    """
    folder = Path(path).parent
    file = folder / description.test
    if not file.is_file():
        raise TrainingError(f"{file}: no such file. Correct `test` in {description_path(path)}.")
    if folder.resolve() not in file.resolve().parents:
        raise TrainingError(f"{file}: not inside {folder}/. Put the file there.")
    return data_frame(read_texts(file, description.encoding, description.separator), description)


def data_frame(table: TextTable, description: Description) -> pd.DataFrame:
    """Return the described columns of `table`. Raises TrainingError."""
    columns = (*description.columns, *description.others, description.label)
    frame = {}
    for column in columns:
        if column.name not in table.names:
            problem = f"{table.path}: no column {column.name!r}"
            raise TrainingError(f"{problem}. {suggest(column.name, table.names)}")
        frame[column.name] = converted(table, column, table.factorize(column.name))
    label = description.label.name
    return (
        pd.DataFrame(frame)
        .dropna(subset=[label])
        .astype({label: LABEL_TYPES[label_type(description.label)]})
    )


def converted(table: TextTable, column: Column, distinct: Distinct) -> pd.Series:
    """Return the values of a column. Raises TrainingError for the first invalid value."""
    texts, codes = distinct
    values, invalid = convert(texts, column)
    if invalid.any():
        row = int(np.flatnonzero(invalid[codes])[0])
        expected = EXPECTED.get(column.kind, f"a date like {column.format}")
        raise TrainingError(
            f"{table.path}: column {column.name!r}, {table.place(row)}: expected {expected}, "
            f"found {texts[codes[row]][:60]!r}. Correct the value, add it to `missing`, or state "
            "another kind."
        )
    # Without the type, pandas makes its own type of text columns, whose missing values are NaN.
    return pd.Series(values[codes], dtype=values.dtype)
