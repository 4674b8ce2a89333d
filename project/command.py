"""Run a command of this folder, and report its errors.

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from project.git import FAILED, ProjectError

INTERRUPTED = 130


def end(number: int, frame: object) -> NoReturn:
    """Let a signal end the command as Ctrl-C does."""
    raise KeyboardInterrupt


def end_on_signals() -> None:
    """Let SIGTERM and a closed terminal end the command as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def run_command(name: str, function: Callable[[], None]) -> int:
    """Run a function, report an error and return the exit code."""
    end_on_signals()
    try:
        function()
    except ProjectError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"{name}: {error}. Nothing was changed.", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"{name}: interrupted. Nothing was changed.", file=sys.stderr)
        return INTERRUPTED
    return 0
