"""Print findings of the descriptions of data and the test instances, as JSON.

Usage: check_data.py     in the root folder, with PYTHONPATH
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model_names import makefile_value

from project.check_models import Finding, finding_of, line_of, model_directories
from utils.dataset.description import Description
from utils.dataset.read import read_dataset
from utils.errors import TrainingError
from utils.table.rows import InvalidInstances, RowOrder

SUFFIXES = (".csv", ".parquet")
Columns = tuple[Description, set[str]]


def read(data: str, columns: dict[str, Columns]) -> Iterator[Finding]:
    """Read the description and the columns with missing values into `columns`."""
    if not Path(data).is_file():
        return
    try:
        table, description = read_dataset(data)
    except TrainingError as error:
        yield located(finding_of("data", str(error), data))
        return
    columns[data] = (description, set(table.columns[table.isna().any()]))


def located(finding: Finding) -> Finding:
    """Return a finding of a table with the line of the description that causes it."""
    line = re.match(r"line (\d+): ", finding.message)
    if line:
        return finding._replace(place=f"{finding.place}:{line[1]}")
    description = Path(finding.place).with_suffix(".toml")
    quoted = re.search("'([^']+)'", finding.message)
    if not quoted or not description.is_file():
        return finding
    place = line_of(description, quoted[1])
    return finding._replace(place=place) if place != str(description) else finding


def instances_findings(directory: str, columns: Columns) -> Iterator[Finding]:
    """Yield test instances that do not have the columns of the data."""
    file = Path(directory, "test", "test_instances.json")
    if not file.is_file():
        return
    place = str(file)
    try:
        rows = json.loads(file.read_bytes())["payload"]["instances"]
    except ValueError as error:
        yield Finding("instances", place, f"is not JSON ({error}). Correct the file.")
        return
    except (KeyError, TypeError):
        form = '{"payload": {"instances": [...]}}'
        yield Finding("instances", place, f"expected {form}. Correct the file.")
        return
    description, optional = columns
    names = [column.name for column in description.columns]
    ignored = [*description.ignore, *(column.name for column in description.others)]
    order = RowOrder(names, optional, ignored)
    try:
        order.arrange(rows)
    except InvalidInstances as error:
        advice = "Correct the instance, then type make expect in the directory."
        yield Finding("instances", place_of(file, rows, error), f"{error}. {advice}")


def place_of(file: Path, rows: Any, error: InvalidInstances) -> str:
    """Return the place of a wrong row, if each row has its own line."""
    number = int(re.findall(r"\d+", f"{error.path} 0")[0])
    lines = file.read_text().splitlines()
    opening = [i for i, line in enumerate(lines, 1) if line.strip() == '"instances": [']
    try:
        line = opening[0] + number + 1
        if json.loads(lines[line - 1].strip().rstrip(",")) == rows[number]:
            return f"{file}:{line}"
    except (IndexError, ValueError):
        pass
    return str(file)


def main() -> int:
    """Print the findings and return the exit code."""
    findings: list[Finding] = []
    columns: dict[str, Columns] = {}
    tables = {str(path) for path in Path("data").iterdir() if path.suffix in SUFFIXES}
    described = {data for data in tables if Path(data).with_suffix(".toml").is_file()}
    names = {name: makefile_value(name, "DATASET_NAME") for name in model_directories()}
    for data in sorted(described | set(names.values()) & tables):
        findings += read(data, columns)
    for directory, data in names.items():
        if data not in tables:
            problem = f"DATASET_NAME {data!r}: no such file. Copy your table to data/."
            findings.append(finding_of("data", problem, f"{directory}/Makefile"))
        elif data in columns:
            findings += instances_findings(directory, columns[data])
    print(json.dumps(findings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
