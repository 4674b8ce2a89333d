"""The train runner: calls the function that the variables name on PAYLOAD.

TRAIN=1: TRAIN_MODULE's TRAIN_FUNCTION trains. Otherwise PREDICT_MODULE's PREDICT_FUNCTION answers once, as JSON
on stdout: the way to predict without a server.
"""

import errno
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from runtime.environment import CONFIGURATION, ConfigurationError, check
from runtime.message import Message, plain

# The exit codes for them in sysexits.h.
OUT_OF_MEMORY, DISK, PERMISSION = 71, 74, 77
FULL_OR_READ_ONLY = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


def chosen(variables: Mapping[str, str]) -> str:
    """TRAIN or PREDICT: the prefix of the variables that name the function to call; raises ConfigurationError."""
    check(variables, "train")
    wanted = "TRAIN" if variables.get("TRAIN", "") not in ("", "0") else "PREDICT"
    if not variables.get(f"{wanted}_MODULE"):
        raise ConfigurationError(
            "PREDICT_MODULE is not set; set TRAIN=1 to train, or name the predict function"
        )
    return wanted


def message(variables: Mapping[str, str]) -> Message:
    """The message with PAYLOAD's JSON; raises ConfigurationError if it isn't JSON."""
    text = variables.get("PAYLOAD", "")
    try:
        return (
            Message(payload=json.loads(text, parse_constant=_refuse))
            if text
            else Message(payload=None)
        )
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"PAYLOAD: expected JSON, found {text[:60]!r} ({error})"
        ) from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def function(module: str, name: str) -> Callable[[Message], Any]:
    """The function `name` of `module`; raises ConfigurationError if either isn't there."""
    try:
        imported = importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(f"{module}:{name} can't be had: {error}") from error
    if not callable(getattr(imported, name, None)):
        raise ConfigurationError(
            f"{module}:{name} can't be had: module {module!r} has no attribute {name!r}"
        )
    return getattr(imported, name)


def main() -> int:
    """Calls the function and returns the exit code; errors go to stderr as one sentence where we know the cause."""
    try:
        prefix = chosen(os.environ)
        call = function(os.environ[f"{prefix}_MODULE"], os.environ[f"{prefix}_FUNCTION"])
        answer = call(message(os.environ))
    except PermissionError as error:
        return permission(error)
    except Exception as error:
        return explained(error)
    if prefix == "PREDICT":
        # NaN and the infinities become null, as in the daemon's replies.
        print(
            json.dumps(json.loads(json.dumps(answer, default=plain), parse_constant=lambda _: None))
        )
    return 0


def permission(error: PermissionError) -> int:
    """Prints who may not do what and the way out; returns the exit code."""
    what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    print(
        f"train: {what} for user {os.getuid()}:{os.getgid()}; "
        "give the folder to that user, or to group 0 with `chgrp 0` and `chmod g+w`",
        file=sys.stderr,
    )
    return PERMISSION


def explained(error: Exception) -> int:
    """Prints a sentence for an error whose cause is known, a traceback for any other; returns the exit code."""
    if isinstance(error, OSError) and error.errno in FULL_OR_READ_ONLY:
        print(f"train: {error}; make room, or mount another folder there", file=sys.stderr)
        return DISK
    if isinstance(error, MemoryError):
        print(f"train: out of memory ({error}); give it more, or fewer rows", file=sys.stderr)
        return OUT_OF_MEMORY
    for_people = (
        isinstance(error, ConfigurationError)
        or hasattr(error, "exit_code")
        or hasattr(error, "status")
    )
    if not for_people:
        traceback.print_exc()
        return 1
    print(f"train: {error}", file=sys.stderr)
    return int(getattr(error, "exit_code", CONFIGURATION))


if __name__ == "__main__":
    sys.exit(main())
