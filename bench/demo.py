"""Measure commands that a person types, under the local engine (bench-demo).

The commands are the second `make demo` and each model's `make train`. They run in a copy of the
repository in which the first demo has run. They are repeated with bytecode turned off in the shell,
and next to a process that keeps one core busy. A failed command makes its row void.
"""

import math
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from build import copy, seconds
from measure import alternate, median_of, models, ratio, report, spread, verdict

ROUNDS = int(os.environ.get("ROUNDS", "3"))
DEMO_SECONDS = 12.0
# The goals are ratios to the same command on a quiet machine.
GOALS = {"without bytecode": 1.2, "next to a busy process": 1.5}
QUIET = "quiet"
Run = Callable[[], float]


def free_port() -> str:
    """Return a port that no program uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def make(clone: Path, *arguments: str, **variables: str) -> float:
    """Return the seconds of a make command, or NaN if it fails."""
    return seconds("make", *arguments, cwd=clone, ENGINE="local", PORT=free_port(), **variables)


@contextmanager
def busy_process() -> Iterator[subprocess.Popen[bytes]]:
    """Keep one core busy during a with statement."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def next_to_busy(run: Run) -> float:
    """Return the seconds of a run next to a busy process."""
    with busy_process():
        return run()


def candidates(clone: Path) -> dict[str, dict[str, Run]]:
    """Return the runs by command and condition."""
    demo = partial(make, clone, "demo")
    without_bytecode = partial(demo, PYTHONDONTWRITEBYTECODE="1")
    runs = {"make demo": {QUIET: demo, "without bytecode": without_bytecode}}
    for directory in models().values():
        train = partial(make, clone, "-C", directory, "train")
        busy = partial(next_to_busy, train)
        runs[f"make -C {directory} train"] = {QUIET: train, "next to a busy process": busy}
    return runs


def line(command: str, condition: str, values: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return one line of the table, which is void if a run failed."""
    entry = {"command": command, "condition": condition, "s": "void", "of quiet": "", "goal": ""}
    measured = values[condition]
    if any(map(math.isnan, (*measured, *values[QUIET]))):
        return entry

    entry["s"] = str(spread(measured))
    if condition != QUIET:
        of_quiet = ratio(measured, values[QUIET])
        goal = GOALS[condition]
        entry["of quiet"] = str(of_quiet)
        entry["goal"] = f"at most {goal:g} of quiet: {verdict(of_quiet.median, goal, True)}"
    elif command == "make demo":
        reached = verdict(median_of(measured), DEMO_SECONDS, True)
        entry["goal"] = f"at most {DEMO_SECONDS:g} s: {reached}"
    return entry


def main() -> int:
    """Measure each command; return 1 if a row is void."""
    lines = []
    measured = {}
    with tempfile.TemporaryDirectory() as scratch:
        clone = copy(Path(scratch))
        first = make(clone, "demo")
        for command, runs in candidates(clone).items():
            measured[command] = alternate(runs, ROUNDS)
            lines += [line(command, condition, measured[command]) for condition in runs]

    report("demo", "Commands under the local engine", lines, {**measured, "first": first})
    return 1 if any(entry["s"] == "void" for entry in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
