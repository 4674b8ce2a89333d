"""Write the description of a data set, with the kinds that its values have.

Usage: DATASET_NAME=data/NAME.csv LABEL=COLUMN python -m extras.describe.describe

The exit code is 2 for wrong usage, 1 if a description exists, and 78 for an invalid table.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from extras.describe.profile import (
    Values,
    column_warnings,
    comment_of,
    gives_label_away,
    label_warnings,
    one_line,
    values_of,
)
from utils.dataset.description import Column, Stated, description_path, suggest
from utils.dataset.infer import Inferred, infer_column, infer_label
from utils.dataset.text_table import TextTable, read_texts
from utils.errors import TrainingError

MISSING_SHOWN = 20


@dataclass
class Draft:
    """The lines of a description, and the warnings about the table."""

    label: str = ""
    task: str = ""
    ignore: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def draft_of(table: TextTable, label_name: str) -> Draft:
    """Return the description of `table`."""
    draft = Draft(warnings=table.notices)
    stated: Stated = {"label": {"name": label_name}}
    distinct = table.factorize(label_name)
    column, draft.task = infer_label(distinct, stated, table.separator)
    label = values_of(column, distinct)
    settings = {"name": label_name, **settings_of(column)}
    draft.label = f"label = {inline(settings)}  # {comment_of(label)}"
    draft.warnings.extend(label_warnings(label, draft.task))

    for name in table.names:
        if name == label_name:
            continue
        distinct = table.factorize(name)
        inferred = infer_column(name, distinct, stated, table.separator)
        values = values_of(inferred.column, distinct)
        warnings = list(column_warnings(table, inferred, values))
        if not inferred.problem and gives_label_away(values, label, draft.task):
            warnings.append(
                f"column {name!r} alone determines the label. If its values are not known before "
                "the label, add it to `ignore`."
            )
        add_column(draft, inferred, values, warnings)
    return draft


def add_column(draft: Draft, inferred: Inferred, values: Values, warnings: list[str]) -> None:
    """Add the lines of a column."""
    draft.warnings.extend(warnings)
    name = inferred.column.name
    if inferred.problem:
        draft.ignore.append(f"  {toml_value(name)},  # {inferred.problem}")
        return
    draft.columns.extend(f"# Check: {warning}" for warning in map(one_line, warnings))
    settings = settings_of(inferred.column)
    value = toml_value(settings["kind"]) if len(settings) == 1 else inline(settings)
    draft.columns.append(f"{toml_key(name)} = {value}  # {comment_of(values)}")


def settings_of(column: Column) -> dict[str, str | list[str]]:
    """Return the settings of a column that differ from the default ones."""
    settings: dict[str, str | list[str]] = {"kind": column.kind}
    defaults = Column("", "")
    for key in ("format", "decimal", "thousands", "unit"):
        value = getattr(column, key)
        if value != getattr(defaults, key):
            settings[key] = value
    if column.missing != ("",):
        settings["missing"] = list(column.missing[:MISSING_SHOWN])
    return settings


def inline(settings: Mapping[str, str | list[str]]) -> str:
    """Return an inline table of TOML."""
    pairs = [f"{key} = {toml_value(value)}" for key, value in settings.items()]
    return f"{{{', '.join(pairs)}}}"


def toml_value(value: str | list[str]) -> str:
    """Return a text or a list of texts as TOML.

    The escapes of TOML are those of JSON, and DEL.
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(name: str) -> str:
    """Return the name of a column as a key of TOML."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml_value(name)


def lines_of(table: TextTable, draft: Draft) -> Iterator[str]:
    """Yield the lines of the description."""
    yield f"# The description of {one_line(table.path.name)} ({table.rows:,} rows)."
    yield "# Written by `make describe`. Check it and edit it: docs/your-data.md."
    yield draft.label
    yield f'task = "{draft.task}"'
    if table.encoding not in ("", "utf-8", "utf-8-sig", "utf-16"):
        yield f"encoding = {toml_value(table.encoding)}"
    if table.separator not in ("", ","):
        yield f"separator = {toml_value(table.separator)}"
    if draft.ignore:
        yield from ("ignore = [", *draft.ignore, "]")
    yield ""
    yield "[columns]"
    yield from draft.columns


def checked_path(name: str) -> Path:
    """Return the path of a table in data/. Raises TrainingError."""
    path = Path(name)
    if not path.is_file():
        raise TrainingError(f"{path}: no such file. Set DATASET_NAME to a file in data/.")
    if Path("data").resolve() not in path.resolve().parents:
        raise TrainingError(f"{path}: not in data/, where training reads it. Put it there.")
    return path


def read_table(path: Path, encoding: str) -> TextTable:
    """Return the table in `path`. Raises TrainingError."""
    try:
        return read_texts(path, encoding)
    except TrainingError as error:
        if "encoding" not in str(error):
            raise
        raise TrainingError(f"{error} `make describe` takes ENCODING=latin-1.") from error


def write_new(path: Path, lines: Iterable[str], force: bool) -> None:
    """Write a file that does not exist yet. Raises FileExistsError, unless `force`."""
    with open(path, "w" if force else "x", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def describe(variables: Mapping[str, str]) -> int:
    """Write the description and return the exit code. Raises TrainingError."""
    path = checked_path(variables["DATASET_NAME"])
    target = description_path(path)
    force = variables.get("FORCE") == "1"
    if target.exists() and not force:
        print(f"describe: {target} exists. FORCE=1 overwrites it.", file=sys.stderr)
        return 1

    table = read_table(path, variables.get("ENCODING", ""))
    label = variables.get("LABEL", "").strip()
    if label not in table.names or not label:
        problem = f"LABEL={label}: no such column." if label else "LABEL is not set."
        print(f"describe: {problem} {suggest(label, table.names)}", file=sys.stderr)
        return 2

    draft = draft_of(table, label)
    write_new(target, lines_of(table, draft), force)
    for warning in map(one_line, draft.warnings):
        print(f"---> Warning: {warning}")
    features = len(table.names) - 1 - len(draft.ignore)
    print(f"---> Wrote {target} ({draft.task}, features: {features:,}). Check it before you train.")
    if variables.get("REPORT") == "1":
        from extras.describe.report import write_report

        print(f"---> Wrote {write_report(path)}")
    return 0


def main() -> int:
    """Describe the table that the environment names, and return the exit code."""
    try:
        return describe(os.environ)
    except (TrainingError, OSError) as error:
        print(f"describe: {one_line(str(error))}", file=sys.stderr)
        return getattr(error, "exit_code", 1)


if __name__ == "__main__":
    sys.exit(main())
