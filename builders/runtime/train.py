"""The train runner: it calls the function that the variables name.

The argument of the function is PAYLOAD. With TRAIN=1, the function is TRAIN_FUNCTION of
TRAIN_MODULE, which trains. Without TRAIN=1, it is PREDICT_FUNCTION of PREDICT_MODULE, and the
runner prints its answer as JSON: a prediction without a server.
"""

import errno
import json
import os
import sys
import traceback
from collections.abc import Mapping
from typing import Any, NoReturn

from runtime.environment import CONFIGURATION, ConfigurationError, check
from runtime.loader import load_function
from runtime.message import Message, to_plain
from runtime.threads import set_threads

# Exit codes of sysexits.h: EX_OSERR, EX_IOERR, EX_NOPERM.
OUT_OF_MEMORY = 71
DISK = 74
PERMISSION = 77
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


def choose_prefix(variables: Mapping[str, str]) -> str:
    """Return TRAIN or PREDICT.

    It is the prefix of the variables that name the function to call. Raises ConfigurationError if
    these variables are not set.
    """
    check(variables, "train")
    if variables.get("TRAIN", "") not in ("", "0"):
        return "TRAIN"
    if not variables.get("PREDICT_MODULE"):
        advice = "Set TRAIN=1 to train, or set PREDICT_MODULE and PREDICT_FUNCTION."
        raise ConfigurationError(f"PREDICT_MODULE is not set. {advice}")
    return "PREDICT"


def read_message(variables: Mapping[str, str]) -> Message:
    """Return a message with the decoded PAYLOAD.

    Raises ConfigurationError if PAYLOAD is not JSON.
    """
    text = variables.get("PAYLOAD", "")
    if not text:
        return Message(payload=None)
    try:
        payload = json.loads(text, parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        found = f"found {text[:60]!r} ({error})"
        raise ConfigurationError(f"PAYLOAD: expected JSON, {found}") from None
    return Message(payload=payload)


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def print_answer(answer: Any) -> None:
    """Print an answer as JSON.

    NaN and the infinities become null, as in the server's responses.
    """
    text = json.dumps(answer, default=to_plain)
    print(json.dumps(json.loads(text, parse_constant=lambda constant: None)))


def main() -> int:
    """Call the function and return the exit code."""
    try:
        prefix = choose_prefix(os.environ)
        # The libraries read the variables when the function's module is imported.
        set_threads(os.environ)
        function = load_function(
            f"{prefix}_MODULE", os.environ[f"{prefix}_MODULE"], os.environ[f"{prefix}_FUNCTION"]
        )
        answer = function(read_message(os.environ))
    except PermissionError as error:
        return report_permission(error)
    except Exception as error:
        return report_error(error)
    if prefix == "PREDICT":
        print_answer(answer)
    return 0


def report_permission(error: PermissionError) -> int:
    """Print which user lacks a permission and what to do; return the exit code."""
    problem = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    user = f"{os.getuid()}:{os.getgid()}"
    advice = "Give the folder to that user, or to group 0 with `chgrp 0` and `chmod g+w`."
    print(f"train: {problem} for user {user}. {advice}", file=sys.stderr)
    return PERMISSION


def report_error(error: Exception) -> int:
    """Print an error and return the exit code.

    The output is one sentence if the cause is known, and a traceback otherwise.
    """
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        print(f"train: {error}. Free some space, or mount another folder there.", file=sys.stderr)
        return DISK
    if isinstance(error, MemoryError):
        print(
            f"train: out of memory ({error}). Provide more memory, or fewer rows.", file=sys.stderr
        )
        return OUT_OF_MEMORY
    if isinstance(error, ConfigurationError):
        return report_configuration(error)
    # The message of an error with an exit code or a status is written for users.
    if hasattr(error, "exit_code") or hasattr(error, "status"):
        print(f"train: {error}", file=sys.stderr)
        return int(getattr(error, "exit_code", CONFIGURATION))
    traceback.print_exc()
    return 1


def report_configuration(error: ConfigurationError) -> int:
    """Print an error of the variables and return the exit code.

    If an import failed, its traceback is printed first.
    """
    cause = error.__cause__
    # A missing module needs no traceback, because the message names it.
    if cause is not None and not isinstance(cause, ModuleNotFoundError):
        traceback.print_exception(cause)
    print(f"train: {error}", file=sys.stderr)
    return CONFIGURATION


if __name__ == "__main__":
    sys.exit(main())
