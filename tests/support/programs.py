"""The programs in tests/faults/programs: separate processes, which may crash.

This module defines command, run_program, result_of.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from support.commands import ROOT, Completed, run

PROGRAMS = ROOT / "tests/faults/programs"
PYTHONPATH = os.pathsep.join([str(ROOT), str(ROOT / "builders")])


def command(name: str, *arguments: object) -> list[str]:
    """Return the command line of a program."""
    return [sys.executable, str(PROGRAMS / f"{name}.py"), *map(str, arguments)]


def run_program(
    name: str, *arguments: object, cwd: Path = ROOT, seconds: float = 120, **variables: str
) -> Completed:
    """Run a program that imports from the checkout, and return its output."""
    environment = {"PYTHONPATH": PYTHONPATH, **variables}
    return run(*command(name, *arguments), cwd=cwd, env=environment, seconds=seconds)


def result_of(done: Completed) -> Any:
    """Return the JSON in the last line of a program's output; it must not crash.

    Libraries may print before it: ONNX Runtime's Python prints errors too.
    """
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])
