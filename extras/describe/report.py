"""Write an HTML report of a data set, with skrub's TableReport."""

from __future__ import annotations

from pathlib import Path

from skrub import TableReport

from utils.dataset.read import read_dataset

FOLDER = Path(".local/reports")


def write_report(table: Path) -> Path:
    """Write the report of a described table and return its path. Raises TrainingError."""
    frame, _ = read_dataset(table)
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{table.stem}.html"
    TableReport(frame, title=table.name, verbose=0).write_html(path)
    return path
