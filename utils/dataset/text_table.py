"""Read a CSV or Parquet file as a table of texts, with the line of each row.

Python's csv module reads the file, because it knows the number of fields and the physical line of
each row. If the rows have one field more than the header, pandas uses the first column as index.
"""

from __future__ import annotations

import codecs
import csv
import io
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
import pandas as pd

from utils.errors import TrainingError

# A value has at most one MiB and a line at most 16, so that a quote that is never closed, or a file
# without line breaks, can't fill the memory.
MAX_VALUE = 2**20
MAX_LINE = 2**24
MAX_COLUMNS = 100_000
SAMPLE = 2**16
SEPARATORS = ",;\t|"
# Rows are collected until they have this number of values. Each value is a Python object of about
# 60 bytes. After that, the values of a column are one text.
CHUNK_VALUES = 500_000
# Rejected in the file, therefore it can separate the values of a column.
NUL = "\0"
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class Distinct(NamedTuple):
    """The distinct texts of a column, and the index of each row's text."""

    texts: list[str]
    codes: np.ndarray

    def without(self, missing: Iterable[str]) -> list[str]:
        """Return the texts that are not in `missing`."""
        missing = frozenset(missing)
        return [text for text in self.texts if text not in missing]


class TextTable:
    """The values of a table as they are written in the file.

    `chunks` has one list per column. Each item is the text of some rows, separated by NUL. `starts`
    are the physical lines on which the rows start, counted from 1; Parquet has none.
    """

    def __init__(self, path: Path, names: list[str], encoding: str = "", separator: str = ""):
        self.path = path
        self.names = names
        self.encoding = encoding
        self.separator = separator
        self.chunks: list[list[str]] = [[] for _ in names]
        self.starts = array("q")
        self.rows = 0
        self.notices: list[str] = []

    def append(self, rows: list[list[str]]) -> None:
        """Append some rows."""
        self.rows += len(rows)
        for chunks, values in zip(self.chunks, zip(*rows)):
            chunks.append(NUL.join(values))

    def factorize(self, name: str) -> Distinct:
        """Return the distinct values of a column, without blanks around them."""
        if not self.rows:
            return Distinct([], np.zeros(0, np.intp))
        values = NUL.join(self.chunks[self.names.index(name)]).split(NUL)
        codes, distinct = pd.factorize(np.array(values, dtype=object))
        stripped = [text.strip() for text in distinct]
        if stripped == distinct.tolist():
            return Distinct(stripped, codes)
        self.notices.append(f"column {name!r}: blanks around values are removed")
        new_codes, stripped_distinct = pd.factorize(np.array(stripped, dtype=object))
        return Distinct(stripped_distinct.tolist(), new_codes[codes])

    def place(self, row: int) -> str:
        """Return the place of a row for a message."""
        return f"line {self.starts[row]}" if self.starts else f"row {row + 1}"


def read_texts(path: Path, encoding: str = "", separator: str = "") -> TextTable:
    """Return the table in `path`. An empty encoding or separator is detected.

    Raises TrainingError, which names the line.
    """
    if path.suffix == ".parquet":
        return read_parquet(path)
    used = byte_order_mark(path) or encoding or "utf-8"
    limit = csv.field_size_limit(MAX_VALUE)
    try:
        with open(path, encoding=used, newline="") as file:
            table = read_csv(path, file, separator)
    except LookupError as error:
        raise TrainingError(f"{path}: {error}. State another encoding.") from error
    except UnicodeError as error:
        raise TrainingError(undecodable(path, used)) from error
    finally:
        csv.field_size_limit(limit)
    table.encoding = used
    check_names(table)
    return table


def check_names(table: TextTable) -> None:
    """Remove blanks around the names of columns, and unnamed columns without values.

    Raises TrainingError for a name that is given twice. The name of a column may be empty if it is
    the first one, as in a table that was saved with its index.
    """
    stripped = [name.strip() for name in table.names]
    if stripped != table.names:
        table.notices.append("blanks around the names of columns are removed")
    table.names = stripped
    for i in reversed(range(1, len(stripped))):
        if not stripped[i] and not "".join(table.chunks[i]).replace(NUL, "").strip():
            table.notices.append(f"column {i + 1} has no name and no values; it is ignored")
            del table.names[i]
            del table.chunks[i]
    places: dict[str, int] = {}
    for i, name in enumerate(table.names):
        first = places.setdefault(name, i)
        if first < i:
            raise TrainingError(
                f"{table.path}: columns {first + 1} and {i + 1} have the same name {name!r}. "
                "Rename one of them."
            )
        if not name and i > 0:
            raise TrainingError(f"{table.path}: column {i + 1} has no name. Add one.")


def byte_order_mark(path: Path) -> str:
    """Return the encoding that the byte-order mark of a file states, or ""."""
    with open(path, "rb") as file:
        start = file.read(4)
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if start.startswith(mark):
            return encoding
    return ""


def undecodable(path: Path, encoding: str) -> str:
    """Return the message for a file that is not in `encoding`, with the line."""
    number = 0
    with open(path, "rb") as file:
        # In UTF-16, a line does not end with the byte of a line break.
        while encoding != "utf-16" and (line := file.readline(MAX_LINE)):
            number += 1
            try:
                line.decode(encoding)
            except UnicodeError:
                break
    place = f", line {number}" if number else ""
    advice = 'State the encoding in the description, for example encoding = "latin-1".'
    return f"{path}{place}: not in the encoding {encoding}. {advice}"


def read_csv(path: Path, file: TextIO, separator: str) -> TextTable:
    """Return the table in an open file. Raises TrainingError, which names the line."""
    sample = file.read(SAMPLE)
    file.seek(0)
    separator = separator or detect_separator(sample)
    # A quote after a blank starts a quoted value only with the setting `skipinitialspace`.
    has_blanks = f'{separator} "' in sample
    lines = checked_lines(path, file)
    reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=has_blanks)
    rows = numbered_rows(path, reader)
    _, header = next(rows, (1, []))
    if len(header) > MAX_COLUMNS:
        raise TrainingError(f"{path}: {len(header):,} columns. At most {MAX_COLUMNS:,} are read.")

    table = TextTable(path, header, separator=separator)
    if has_blanks:
        table.notices.append("blanks after separators are removed")
    size = max(1, CHUNK_VALUES // max(1, len(header)))
    chunk = []
    for start, row in rows:
        if len(row) == len(header):
            chunk.append(row)
            table.starts.append(start)
        elif "".join(row).strip():
            raise TrainingError(wrong_width(path, start, header, row))
        if len(chunk) == size:
            table.append(chunk)
            chunk = []
    table.append(chunk)
    return table


def numbered_rows(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows with the lines on which they start. Raises TrainingError."""
    start = 1
    try:
        for row in reader:
            yield start, row
            start = reader.line_num + 1
    except csv.Error as error:
        advice = "Check the quotes there: write a quote within a quoted value twice."
        raise TrainingError(f"{path}, line {start}: not valid CSV: {error}. {advice}") from error


def wrong_width(path: Path, line: int, header: list[str], row: list[str]) -> str:
    """Return the message for a row with too many or too few fields."""
    found = f"expected {len(header)} fields, as in the header, found {len(row)}"
    return f"{path}, line {line}: {found}. Quote values that contain the separator."


def checked_lines(path: Path, file: TextIO) -> Iterator[str]:
    """Yield the lines of a file. Raises TrainingError for a line of no CSV."""
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE:
            raise TrainingError(f"{path}, line {number}: longer than {MAX_LINE:,} characters.")
        if NUL in line:
            advice = "State the encoding in the description, or remove the character."
            raise TrainingError(f"{path}, line {number}: a NUL character. {advice}")
        yield line


def detect_separator(sample: str) -> str:
    """Return the separator that gives the header of `sample` the most fields.

    A separator that gives all rows the same number of fields takes precedence.
    """
    best = ","
    best_score = (False, 1)
    for separator in SEPARATORS:
        reader = csv.reader(io.StringIO(sample, newline=""), delimiter=separator)
        try:
            widths = [len(row) for row in islice(reader, 100) if row]
        except csv.Error:
            continue
        # The last row of the sample may be incomplete.
        same = len(set(widths[:-1])) == 1
        score = (same and widths[0] > 1, widths[0] if widths else 0)
        if score > best_score:
            best = separator
            best_score = score
    return best


def read_parquet(path: Path) -> TextTable:
    """Return the table in a Parquet file. Raises TrainingError."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        advice = "Add the line `pyarrow` to requirements_train.txt, then build again."
        raise TrainingError(f"{path}: Parquet needs pyarrow. {advice}") from error
    try:
        arrow = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise TrainingError(f"{path}: not a valid Parquet file: {error}") from error
    table = TextTable(path, [str(name) for name in arrow.column_names])
    table.rows = arrow.num_rows
    for chunks, name, column in zip(table.chunks, table.names, arrow.columns):
        try:
            texts = column.cast(pyarrow.string()).fill_null("").to_pylist()
        except pyarrow.ArrowException as error:
            problem = f"column {name!r} has the type {column.type}"
            raise TrainingError(f"{path}: {problem}. Write it as texts or numbers.") from error
        chunks.append(NUL.join(texts))
    return table
