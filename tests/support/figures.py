"""The figures of the fault tests, in a table at a run's end: FULL, times, Figure.

`make test` tries each fault a few times; with FAULTS=full (`make test-faults`) it is tried as often
as the figures of tests/faults/README.md say.
"""

import os
from collections.abc import Callable, Iterator

import pytest

FULL = os.environ.get("FAULTS") == "full"
Figure = Callable[[str, str, str], None]
_rows: dict[str, tuple[str, str]] = {}


def times(full: int, quick: int) -> int:
    """Return how often to try: `full` under `make test-faults`, else `quick`."""
    return full if FULL else quick


@pytest.fixture
def figure() -> Iterator[Figure]:
    """Keep a row of the table: what was done, what was seen, and of the control."""

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
