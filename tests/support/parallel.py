"""A pytest plugin that runs most tests in parallel.

tests/run.sh starts a pytest-xdist worker for each processor. A worker runs one unit of tests after
another. The container tests are the first unit, because they share images. Then each file is a
unit, because its tests share fixtures. The tests with the mark `serial`, which measure time or
load, are the last unit. No other test runs at the same time as a serial test.
"""

import fcntl
import json
from collections.abc import Iterator

import pytest
from support.shared import locked, shared_folder
from xdist.scheduler import LoadFileScheduling

# The order of the units. The empty name stands for the files.
UNITS = ("docker", "", "serial")
UNITS_FILE = "units.json"


class UnitScheduling(LoadFileScheduling):
    """A scheduler that assigns units of tests to workers."""

    def schedule(self) -> None:
        """Read the units, which the workers have written, and assign the first ones."""
        self.units = json.loads((shared_folder(self.config) / UNITS_FILE).read_text())
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        """Return the unit of a test: its mark, or its file."""
        return self.units.get(nodeid) or super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> UnitScheduling:
    """Return the scheduler of the tests."""
    return UnitScheduling(config, log)


def unit_of(item: pytest.Item) -> str:
    """Return the unit that a test's mark selects; empty if its file is the unit."""
    return next((unit for unit in UNITS if unit and item.get_closest_marker(unit)), "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in the order of their units."""
    items.sort(key=lambda item: UNITS.index(unit_of(item)))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the units for the scheduler.

    The scheduler runs in another process, which does not collect the tests and their marks.
    """
    units = {item.nodeid: unit_of(item) for item in session.items}
    folder = shared_folder(session.config)
    with locked(folder / "units.lock"):
        (folder / UNITS_FILE).write_text(json.dumps(units))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run a serial test alone, and other tests in parallel."""
    kind = fcntl.LOCK_EX if item.get_closest_marker("serial") else fcntl.LOCK_SH
    with locked(shared_folder(item.config) / "serial.lock", kind):
        return (yield)
