"""The figures of the fault tests, in a table at the end of a run.

The module defines FULL, times and Figure. `make test` tries each fault a few times. With
FAULTS=full (`make test-faults`), each fault is tried as often as tests/faults/README.md lists.
"""

import os
from collections.abc import Callable, Iterator

import pytest

FULL = os.environ.get("FAULTS") == "full"
Figure = Callable[[str, str, str], None]
_rows: dict[str, tuple[str, str]] = {}


def times(full: int, quick: int) -> int:
    """Return the number of tries: `full` under `make test-faults`, else `quick`."""
    return full if FULL else quick


@pytest.fixture
def figure() -> Iterator[Figure]:
    """Return a function that adds a row to the table: fault, result and control."""

    def keep(what: str, seen: str, control: str = "-") -> None:
        _rows[what] = (seen, control)

    yield keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, as Markdown."""
    if not _rows:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line("| what | seen | control |\n|---|---|---|")
    for what, (seen, control) in sorted(_rows.items()):
        terminalreporter.write_line(f"| {what} | {seen} | {control} |")
