"""The figures of the fault tests, in a table at the end of a run.

The module defines FULL, times and Figure. `make test` tries each fault a few times. With
FAULTS=full (`make test-faults`), each fault is tried as often as tests/faults/README.md lists.
"""

import os
from collections.abc import Callable

import pytest

FULL = os.environ.get("FAULTS") == "full"
Figure = Callable[[str, str, str], None]
PROPERTY = "fault"


def times(full: int, quick: int) -> int:
    """Return the number of tries: `full` under `make test-faults`, else `quick`."""
    return full if FULL else quick


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Return a function that adds a row to the table: fault, result and control.

    The row is part of the test's report, because the test may run in another process than the one
    that prints the table.
    """

    def keep(what: str, seen: str, control: str = "-") -> None:
        record_property(PROPERTY, [what, seen, control])

    return keep


def rows_of(terminalreporter: pytest.TerminalReporter) -> list[list[str]]:
    """Return the rows that the tests' reports contain."""
    rows = []
    for reports in terminalreporter.stats.values():
        for report in reports:
            properties = getattr(report, "user_properties", [])
            is_call = getattr(report, "when", "") == "call"
            rows += [value for name, value in properties if is_call and name == PROPERTY]
    return rows


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, as Markdown."""
    rows = rows_of(terminalreporter)
    if not rows:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line("| what | seen | control |\n|---|---|---|")
    for row in sorted(rows):
        terminalreporter.write_line(f"| {' | '.join(row)} |")
