"""A pytest plugin that prints the reasons for skipped tests."""

from collections import Counter

import pytest


def reason_of(report: pytest.TestReport) -> str:
    """Return the reason in the report of a skipped test."""
    _, _, reason = report.longrepr
    return reason.removeprefix("Skipped: ")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print each reason once, the most frequent one first."""
    reasons = Counter(reason_of(report) for report in terminalreporter.stats.get("skipped", []))
    if not reasons:
        return
    terminalreporter.section("skipped")
    for reason, count in reasons.most_common():
        tests = "test" if count == 1 else "tests"
        terminalreporter.write_line(f"{count} {tests}: {reason}")
