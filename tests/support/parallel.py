"""How the tests share the processors: in parallel, except those that measure time or load.

A plugin. tests/run.sh starts a worker of pytest-xdist for each processor. A worker takes one unit
of tests after the other: first the container tests, which share images and compare what the engine
has before and after; then each file, whose fixtures are made once; at the end the tests with the
mark `serial`. While one of these runs, no other test does.
"""

import fcntl
import json
from collections.abc import Iterator

import pytest
from support.shared import locked, shared_folder
from xdist.scheduler import LoadFileScheduling

# In their order; the empty name is for the units that are files.
UNITS = ("docker", "", "serial")
UNITS_FILE = "units.json"


class UnitScheduling(LoadFileScheduling):
    """Gives each worker one unit of tests after the other."""

    def schedule(self) -> None:
        """Assign the first units, once every worker has written the units of its tests."""
        self.units = json.loads((shared_folder(self.config) / UNITS_FILE).read_text())
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        """Return the unit of a test: its own, or its file."""
        return self.units.get(nodeid) or super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> UnitScheduling:
    """Return the scheduler of the tests."""
    return UnitScheduling(config, log)


def unit_of(item: pytest.Item) -> str:
    """Return the unit of a test; empty if that is its file."""
    return next((unit for unit in UNITS if unit and item.get_closest_marker(unit)), "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in the order of their units."""
    items.sort(key=lambda item: UNITS.index(unit_of(item)))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the units for the scheduler, which runs in another process and knows no marks.

    It reads them as soon as xdist's own hook has reported the collection of every worker.
    """
    units = {item.nodeid: unit_of(item) for item in session.items}
    folder = shared_folder(session.config)
    with locked(folder / "units.lock"):
        (folder / UNITS_FILE).write_text(json.dumps(units))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run a serial test alone, and any other one next to others."""
    kind = fcntl.LOCK_EX if item.get_closest_marker("serial") else fcntl.LOCK_SH
    with locked(shared_folder(item.config) / "serial.lock", kind):
        return (yield)
