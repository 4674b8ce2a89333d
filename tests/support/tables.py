"""Small tables with descriptions, in a temporary data folder."""

from pathlib import Path

import pandas as pd

from utils.dataset.description import Column, Description
from utils.dataset.read import read_dataset


def write_table(folder: Path, content: str | bytes, description: str | None = None) -> Path:
    """Write t.csv, and t.toml if there is a description; return the path of the table."""
    path = folder / "t.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    if description is not None:
        (folder / "t.toml").write_text(description, encoding="utf-8")
    return path


def read_table(
    folder: Path, content: str | bytes, description: str = 'label = "y"'
) -> tuple[pd.DataFrame, Description]:
    """Return the data frame and the complete description of a table."""
    return read_dataset(write_table(folder, content, description))


def column_csv(values: list[str], name: str = "x") -> str:
    """Return a CSV of one column and a label of two classes."""
    rows = [f"{value},{'ab'[i % 2]}\n" for i, value in enumerate(values)]
    return f"{name},y\n{''.join(rows)}"


def feature(description: Description, name: str = "x") -> Column:
    """Return a feature by its name."""
    return next(column for column in description.columns if column.name == name)
