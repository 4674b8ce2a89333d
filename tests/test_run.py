"""tests/run.sh: parallel and serial tests, and the end of the output."""

import re
from itertools import combinations
from pathlib import Path

import pytest
from support.commands import ROOT, Completed, run

FILES = 3
TESTS = """
import os
import time
from pathlib import Path

import pytest


def sleep(name):
    started = time.monotonic()
    time.sleep(0.2)
    with open(os.environ["TIMES"], "a") as file:
        file.write(f"{name} {started} {time.monotonic()}\\n")


@pytest.mark.parametrize("number", range(4))
def test_any(number):
    sleep("any")


@pytest.mark.serial
@pytest.mark.parametrize("number", range(2))
def test_serial(number):
    sleep("serial")


@pytest.mark.docker
def test_container(figure):
    figure("a fault", str(os.getpid()))


@pytest.mark.skipif(True, reason="no Docker engine answers")
def test_engine(): ...


def test_mount():
    pytest.skip("no file system can be mounted")
"""
PLUGINS = ("xdist", "support.parallel", "support.figures", "support.skips")
Interval = tuple[str, float, float]


def run_tests(directory: Path, text: str) -> Completed:
    """Run tests of a text, as several files, with two workers."""
    for number in range(FILES):
        (directory / f"test_{number}.py").write_text(text)

    options = [f"-p{name}" for name in PLUGINS]
    options += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(directory)]
    variables = {
        "PYTHONPATH": str(ROOT / "tests"),
        # These tests need no other plugins, which take seconds to import.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_XDIST_AUTO_NUM_WORKERS": "2",
        "TIMES": str(directory / "times"),
    }
    return run(ROOT / "tests/run.sh", *options, directory, env=variables)


def intervals(directory: Path) -> list[Interval]:
    """Return name, start and end of the tests that slept."""
    found = []
    for line in (directory / "times").read_text().splitlines():
        name, started, ended = line.split()
        found.append((name, float(started), float(ended)))
    return found


def at_the_same_time(tests: list[Interval]) -> list[set[str]]:
    """Return the names of each two tests that ran at the same time."""
    pairs = []
    for first, second in combinations(tests, 2):
        if first[1] < second[2] and second[1] < first[2]:
            pairs.append({first[0], second[0]})
    return pairs


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder in which the tests have run, and the lines of their output."""
    folder = tmp_path_factory.mktemp("run")
    done = run_tests(folder, TESTS)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout.splitlines()


def test_a_serial_test_runs_alone_and_others_in_parallel(ran: tuple[Path, list[str]]) -> None:
    tests = intervals(ran[0])
    assert len(tests) == FILES * 6
    pairs = at_the_same_time(tests)
    assert {"any"} in pairs
    assert [pair for pair in pairs if "serial" in pair] == []


def test_a_test_without_the_mark_does_not_run_alone(tmp_path: Path) -> None:
    run_tests(tmp_path, TESTS.replace("@pytest.mark.serial", ""))
    pairs = at_the_same_time(intervals(tmp_path))
    assert [pair for pair in pairs if "serial" in pair] != []


def test_output_ends_with_faults_reasons_of_skips_and_the_summary(
    ran: tuple[Path, list[str]],
) -> None:
    lines = ran[1]
    assert any("slowest 20 durations" in line for line in lines)

    rows = [line for line in lines if line.startswith("| a fault | ")]
    assert len(rows) == FILES
    # One process has run the container tests of all files.
    assert len(set(rows)) == 1

    assert f"{FILES} tests: no Docker engine answers" in lines
    assert f"{FILES} tests: no file system can be mounted" in lines
    counts = rf"=+ {FILES * 7} passed, {FILES * 2} skipped in [\d.]+s( \(.*\))? =+"
    assert re.fullmatch(counts, lines[-1]), lines[-5:]


def test_a_failed_test_fails_the_run(tmp_path: Path) -> None:
    done = run_tests(tmp_path, "def test_one(): assert False\n")
    assert done.returncode == 1
    assert f"= {FILES} failed in " in done.stdout.splitlines()[-1]
