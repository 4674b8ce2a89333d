"""Describe a data set in an environment, for programs that run without pandas.

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from project.git import ProjectError

PROJECT = Path(__file__).resolve().parent
# Variables of the make that runs a program are not for the programs that it runs.
HIDDEN = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "NAME", "DATA", "TO", "FORCE")


def clean_environment() -> dict[str, str]:
    """Return the variables for programs that a command of make runs."""
    return {key: value for key, value in os.environ.items() if key not in HIDDEN}


def describe(target: Path, data: str, label: str = "") -> dict[str, Any]:
    """Describe the data; return the task, the label and rows for test instances.

    `label` is for data without a description. Raises ProjectError if the data cannot be used.
    """
    command = [str(PROJECT / "describe_data.sh"), str(target), data, label]
    done = subprocess.run(command, env=clean_environment(), stdout=subprocess.PIPE, text=True)
    if done.returncode == 0:
        found: dict[str, Any] = json.loads(done.stdout)
        return found
    raise ProjectError("the data cannot be used. The reason is above.", done.returncode)
