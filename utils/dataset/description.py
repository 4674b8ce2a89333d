"""Read the description of a data set, data/NAME.toml.

`read_description` returns what the file states. utils/dataset/infer.py completes it from the values
of the table, and utils/dataset/read.py returns the table together with the complete `Description`.
The keys of the file are a public interface, which docs/your-data.md documents.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.errors import TrainingError
from utils.table.rows import truncate

KINDS = ("number", "category", "boolean", "date", "text")
LABEL_KINDS = ("category", "boolean", "number")
TASKS = ("classification", "regression")
# The keys of a column, in addition to `kind` and `missing`.
KIND_KEYS = {"number": ("decimal", "thousands", "unit"), "date": ("format",)}
TEXT_KEYS = ("task", "encoding", "separator", "decimal", "split", "test", "weight", "unknown")
LIST_KEYS = ("ignore", "missing", "groups")
KEYS = ("label", *TEXT_KEYS, *LIST_KEYS, "columns")
# A description of 1,500 columns has 100 KB. Larger files are rejected before they are parsed.
MAX_BYTES = 2**22

Stated = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of the table, as the trainer and the request side need it.

    `format` is the format of a date, for strptime, as it is written in the file. `missing` are the
    texts that mean a missing value. `values` is the type of a category's values: "text", "integer"
    or, for a label only, "decimal". `decimal`, `thousands` and `unit` describe how numbers are
    written in the file. In a request, numbers are JSON numbers.
    """

    name: str
    kind: str
    format: str = ""
    missing: tuple[str, ...] = ()
    values: str = "text"
    decimal: str = "."
    thousands: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Description:
    """A complete description of a table.

    `columns` are the features, in the order of the table. `others` are further columns of the data
    frame: the weight, the column of the split and the groups, if they are not features. `ignore`
    are columns that are not in the data frame; they may be present in requests. With `unknown`
    "reject", all categories are encoded one-hot, and the server rejects unknown ones. `notices` are
    sentences on what was inferred, for people.
    """

    label: Column
    task: str
    columns: tuple[Column, ...]
    others: tuple[Column, ...] = ()
    ignore: tuple[str, ...] = ()
    split: str = ""
    test: str = ""
    weight: str = ""
    groups: tuple[str, ...] = ()
    unknown: str = ""
    encoding: str = "utf-8"
    separator: str = ","
    notices: tuple[str, ...] = ()


def description_path(table: Path) -> Path:
    """Return the path of the description of `table`."""
    return table.with_suffix(".toml")


def read_description(path: Path) -> Stated:
    """Return what a description states, as a dict with the keys of the file.

    `label` and each value of `columns` are dicts. Raises TrainingError, which names the line.
    """
    text = read_text(path)
    try:
        stated = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise TrainingError(f"{path}: not valid TOML: {error}. Fix this line.") from error
    try:
        check_keys(stated)
        stated["label"] = checked_column(stated["label"], "label", LABEL_KINDS)
        for name, column in stated.get("columns", {}).items():
            stated["columns"][name] = checked_column(column, name, KINDS)
        check_roles(stated)
    except InvalidKey as error:
        line = line_of_key(text, error.key)
        raise TrainingError(f"{path}{line}: {error}") from None
    return stated


def read_text(path: Path) -> str:
    """Return the text of a description. Raises TrainingError."""
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise TrainingError(
            f"{path}: larger than {MAX_BYTES:,} bytes. A description has one line per column."
        )
    try:
        return content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise TrainingError(f"{path}, line {line}: not UTF-8. Save the file as UTF-8.") from error


class InvalidKey(ValueError):
    """An invalid part of a description; `key` is the key to find its line."""

    def __init__(self, key: str, message: str):
        super().__init__(message)
        self.key = key


def line_of_key(text: str, key: str) -> str:
    """Return ", line N" for the first line that sets `key`, or "" if there is none."""
    spellings = {re.escape(key), re.escape(json.dumps(key, ensure_ascii=False)[1:-1])}
    pattern = re.compile(rf"(?<![\w-])[\"']?({'|'.join(spellings)})[\"']?\s*[=.\]]")
    for number, line in enumerate(text.splitlines(), 1):
        if pattern.search(line):
            return f", line {number}"
    return ""


def suggest(word: object, known: Iterable[str]) -> str:
    """Return advice for an unknown word: the closest known word, or some."""
    known = list(known)
    close = difflib.get_close_matches(str(word)[:100], known[:2000], 1)
    if close:
        return f"Did you mean {close[0]!r}?"
    more = f" and {len(known) - 12} more" if len(known) > 12 else ""
    return f"Expected one of {', '.join(map(repr, known[:12]))}{more}."


def check_keys(stated: Stated) -> None:
    """Raise InvalidKey for an unknown key, or a value of the wrong type."""
    for key, value in stated.items():
        if key not in KEYS:
            raise InvalidKey(key, f"unknown key {key[:60]!r}. {suggest(key, KEYS)}")
        expected = expected_type(key, value)
        if expected:
            raise InvalidKey(key, f"{key}: expected {expected}, found {found(value)}.")
    if "label" not in stated:
        raise InvalidKey("label", 'no label. Add a line with the column to predict: label = "…"')
    if stated.get("task", TASKS[0]) not in TASKS:
        problem = f"task: found {found(stated['task'])}."
        raise InvalidKey("task", f"{problem} {suggest(stated['task'], TASKS)}")
    if stated.get("unknown", "reject") != "reject":
        raise InvalidKey("unknown", 'unknown: expected "reject". Otherwise, remove the line.')


def expected_type(key: str, value: object) -> str:
    """Return the type that the value of a key must have, or "" if it has that type."""
    if key in LIST_KEYS:
        return "" if is_list_of_texts(value) else "a list of texts"
    if key in ("separator", "decimal"):
        return "" if isinstance(value, str) and len(value) == 1 else "one character"
    if key in TEXT_KEYS:
        return "" if isinstance(value, str) else "a text"
    return "" if key != "columns" or isinstance(value, dict) else "a table"


def found(value: object) -> str:
    """Return a value of a description for a message, truncated."""
    return truncate(repr(value))


def is_list_of_texts(value: object) -> bool:
    """Return whether `value` is a list of texts."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def checked_column(value: object, key: str, kinds: tuple[str, ...]) -> Stated:
    """Return a column's settings as a dict. Raises InvalidKey.

    A column is given by its kind, the label by its name. Both can be a table with more settings.
    """
    is_label = key == "label"
    if isinstance(value, str):
        value = {"name" if is_label else "kind": value}
    required = "name" if is_label else "kind"
    if not isinstance(value, dict) or not isinstance(value.get(required), str):
        raise InvalidKey(key, f"{key}: expected a {required}, found {found(value)}.")

    kind = value.get("kind", kinds[0])
    if kind not in kinds:
        problem = f"{key}: unknown kind {found(kind)}."
        raise InvalidKey(key, f"{problem} {suggest(kind, kinds)}")

    allowed = ("kind", "missing", *(("name",) if is_label else ()), *KIND_KEYS.get(kind, ()))
    if is_label:
        allowed += KIND_KEYS["number"]
    for name, setting in value.items():
        if name not in allowed:
            problem = f"{key}: a {kind} has no setting {name[:60]!r}."
            raise InvalidKey(key, f"{problem} {suggest(name, allowed)}")
        is_valid = is_list_of_texts(setting) if name == "missing" else isinstance(setting, str)
        if not is_valid:
            raise InvalidKey(key, f"{key}: {name}: found {found(setting)}. Write it in quotes.")
    return value


def check_roles(stated: Stated) -> None:
    """Raise InvalidKey if two keys contradict each other."""
    label = stated["label"]["name"]
    if label in stated.get("columns", {}):
        raise InvalidKey(label, f"{label!r} is the label. Remove it from [columns].")
    if label in stated.get("ignore", ()):
        raise InvalidKey("ignore", f"ignore: {label!r} is the label. Remove it from the list.")
    kind = stated["label"].get("kind")
    task = stated.get("task")
    if task and kind and (task == "regression") != (kind == "number"):
        raise InvalidKey("task", f"task {task!r} does not fit a label of the kind {kind!r}.")
    split = stated.get("split", "")
    if split and not re.fullmatch(r"(time|group):.+", split, re.DOTALL):
        expected = 'Expected "time:COLUMN" or "group:COLUMN"'
        raise InvalidKey("split", f"split: found {found(split)}. {expected}.")
    if split and stated.get("test"):
        raise InvalidKey("split", "split and test are both set. Remove one of them.")
    test = stated.get("test", "")
    if test and (Path(test).is_absolute() or ".." in Path(test).parts or "\0" in test):
        raise InvalidKey("test", f"test: {found(test)} is not in data/. Put the file there.")
