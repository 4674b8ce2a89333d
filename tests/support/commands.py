"""Commands: run programs and make, without the developer's own variables.

This module defines ROOT, Completed, run, make, output_of, clean_environment, without_programs,
wait_until. It also defines WITHOUT_CAPABILITIES and the mark needs_setpriv, for tests in which a
folder's permissions must hold for root too.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
Completed = subprocess.CompletedProcess[str]
# A developer's shell may set these, and no test may depend on them.
PUBLIC = (
    "ACCESS_LOG",
    "ADDRESS",
    "API_KEY_FILE",
    "BUILD",
    "DETACH",
    "ENGINE",
    "ENGINE_REPORTED",
    "LOG_FORMAT",
    "MODEL_NAME",
    "MODElNAME",
    "PAYLOAD",
    "PORT",
    "READ_ONLY",
    "RELOAD",
    "ROUTES",
    "SETUP",
    "UNKNOWN",
    "WAIT",
    "WORKERS",
)
# A prefix for commands. Root without capabilities is bound by a folder's permissions, like any
# other user.
WITHOUT_CAPABILITIES: tuple[str, ...] = ()
if os.getuid() == 0:
    WITHOUT_CAPABILITIES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")

needs_setpriv = pytest.mark.skipif(
    bool(WITHOUT_CAPABILITIES) and not shutil.which("setpriv"),
    reason="as root this needs setpriv",
)


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without public variables, plus `variables`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in PUBLIC and not name.startswith("MAKE")
    }
    return {**kept, **variables}


def run(
    *command: object,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    seconds: float = 600,
) -> Completed:
    """Run a command without a terminal and return its exit code and output."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean_environment(**(env or {})),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )


def make(
    clone: Path, directory: str, *arguments: str, seconds: float = 600, **variables: object
) -> Completed:
    """Run make in a directory of a clone, with variables from the environment."""
    environment = {name: str(value) for name, value in variables.items()}
    return run(
        "make", "-s", "-C", directory, *arguments, cwd=clone, env=environment, seconds=seconds
    )


def output_of(done: Completed) -> str:
    """Return the standard output of a command that must have succeeded."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def without_programs(
    folder: Path, programs: Mapping[str, str], hidden: tuple[str, ...] = ("docker", "s2i")
) -> str:
    """Fill `folder` with links to this machine's programs, without the hidden ones.

    `programs` are shell scripts that are added to the folder: text by name.
    """
    folder.mkdir()

    for name in os.environ["PATH"].split(":"):
        directory = Path(name)
        installed = list(directory.iterdir()) if directory.is_dir() else []
        for program in installed:
            link = folder / program.name
            if program.name not in hidden and not link.is_symlink():
                link.symlink_to(program)

    for name, text in programs.items():
        script = folder / name
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)

    return str(folder)


def wait_until(condition: Callable[[], Any], seconds: float) -> Any:
    """Return the first true result of `condition`; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"still false after {seconds} s")
