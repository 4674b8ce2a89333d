"""The train runner: it calls the function that the variables name.

The argument of the function is PAYLOAD: JSON, `@FILE`, or `-` for the standard input. With TRAIN=1,
the function is TRAIN_FUNCTION of TRAIN_MODULE, which trains. Without TRAIN=1, it is
PREDICT_FUNCTION of PREDICT_MODULE, and the runner prints its answer as JSON: a prediction without a
server. PAYLOAD may then also be a request body, {"payload": ...}.
"""

import errno
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from runtime.environment import CONFIGURATION, check, report_misspelled
from runtime.loader import load_function
from runtime.message import Message, call
from runtime.output import take_stdout
from runtime.settings import ConfigurationError
from runtime.text import format_traceback, truncate
from runtime.threads import set_threads

# Exit codes of sysexits.h: EX_OSERR, EX_IOERR, EX_NOPERM.
OUT_OF_MEMORY = 71
DISK = 74
PERMISSION = 77
# A shell exits with 128 and the number of the signal.
INTERRUPTED = 130
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


def is_training(variables: Mapping[str, str]) -> bool:
    """Return whether the runner trains; otherwise it predicts once."""
    return variables.get("TRAIN", "") not in ("", "0")


def choose_prefix(variables: Mapping[str, str]) -> str:
    """Return TRAIN or PREDICT.

    It is the prefix of the variables that name the function to call. Raises ConfigurationError if
    these variables are not set.
    """
    check(variables, "train")
    if is_training(variables):
        return "TRAIN"
    if not variables.get("PREDICT_MODULE"):
        advice = "Set TRAIN=1 to train, or set PREDICT_MODULE and PREDICT_FUNCTION."
        raise ConfigurationError(f"PREDICT_MODULE is not set. {advice}")
    return "PREDICT"


def read_payload(value: str) -> str | bytes:
    """Return the JSON text of PAYLOAD.

    `@FILE` is the content of a file, and `-` is the standard input: a variable has a limit of
    128 kB on Linux. Raises ConfigurationError if the file cannot be read.
    """
    if value == "-":
        return sys.stdin.buffer.read()
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"PAYLOAD={value}: {error.strerror}. Name a JSON file.") from None


def read_message(variables: Mapping[str, str]) -> Message:
    """Return a message with the decoded PAYLOAD.

    For a prediction, an object with the key `payload` is the complete message, as over HTTP.
    Raises ConfigurationError if PAYLOAD is not JSON.
    """
    value = variables.get("PAYLOAD", "")
    if not value:
        return Message(payload=None)
    text = read_payload(value)
    try:
        payload = json.loads(text, parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        found = f"found {text[:60]!r} ({error})"
        raise ConfigurationError(f"PAYLOAD: expected JSON, {found}") from None

    if not is_training(variables) and isinstance(payload, dict) and "payload" in payload:
        return Message(payload)
    return Message(payload=payload)


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def predict_once(function: Callable[[Any], Any], message: Message, stdout: BinaryIO) -> None:
    """Call the function and write its answer as JSON to `stdout`.

    The same answers are accepted as by the server, and they have the same form.
    """
    # Training does not need msgspec.
    import msgspec

    from runtime.answer import check_answer, encode_value

    try:
        answer = call(function, message)
    except SystemExit as error:
        raise RuntimeError("the predict function ended without an answer") from error

    check_answer(answer)
    stdout.write(b"%b\n" % msgspec.json.format(encode_value(answer), indent=0))
    stdout.flush()


def main() -> int:
    """Call the function and return the exit code."""
    program = "train" if is_training(os.environ) else "predict-once"
    for warning in report_misspelled(os.environ):
        print(f"{program}: {warning}", file=sys.stderr)
    try:
        run(choose_prefix(os.environ))
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        return report_error(program, error)
    return 0


def run(prefix: str) -> None:
    """Import and call the function that the variables with `prefix` name."""
    # The module may print too when it is imported.
    stdout = take_stdout() if prefix == "PREDICT" else None
    # The libraries read the variables when the function's module is imported.
    set_threads(os.environ)
    module = os.environ[f"{prefix}_MODULE"]
    function = load_function(f"{prefix}_MODULE", module, os.environ[f"{prefix}_FUNCTION"])
    message = read_message(os.environ)

    if stdout is None:
        call(function, message)
    else:
        predict_once(function, message, stdout)


def report_error(program: str, error: Exception) -> int:
    """Print an error and return the exit code.

    The output is one sentence if the cause is known, and a traceback otherwise. If an import
    failed, the output is both.
    """
    exit_code, message = describe(error)
    traced = failed_import(error) if message else error
    if traced is not None:
        print(format_traceback(traced), end="", file=sys.stderr)
    if message:
        print(f"{program}: {truncate(message)}", file=sys.stderr)
    return exit_code


def describe(error: Exception) -> tuple[int, str]:
    """Return the exit code of an error, and what to print if its cause is known."""
    if isinstance(error, PermissionError):
        return PERMISSION, permission_message(error)
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        return DISK, f"{error}. Free some space, or mount another folder there."
    if isinstance(error, MemoryError):
        return OUT_OF_MEMORY, f"out of memory ({error}). Provide more memory, or fewer rows."
    if isinstance(error, ConfigurationError):
        return CONFIGURATION, str(error)
    # The message of an error with an exit code or a status is written for users.
    if hasattr(error, "exit_code") or hasattr(error, "status"):
        return int(getattr(error, "exit_code", CONFIGURATION)), str(error)
    return 1, ""


def permission_message(error: PermissionError) -> str:
    """Return which user lacks a permission and what to do."""
    problem = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    user = f"{os.getuid()}:{os.getgid()}"
    advice = "Give the folder to that user, or to group 0 with `chgrp 0` and `chmod g+w`."
    return f"{problem} for user {user}. {advice}"


def failed_import(error: Exception) -> BaseException | None:
    """Return the exception of a module that could not be imported, or None.

    A missing module needs no traceback, because the message names it.
    """
    cause = error.__cause__
    is_import = isinstance(error, ConfigurationError)
    return cause if is_import and not isinstance(cause, ModuleNotFoundError) else None


if __name__ == "__main__":
    sys.exit(main())
