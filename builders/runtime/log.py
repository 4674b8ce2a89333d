"""The server's log: JSON, one line per event; plain text on a terminal.

An application may configure `logging`, replace sys.stdout or close it. The server writes its own
events to copies of the two descriptors, without `logging`, so that they are always logged. Messages
that the application logs to stdout or stderr get the same form.
"""

import json
import logging
import os
import re
import secrets
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from runtime.text import TRACEBACK_CHARACTERS, format_traceback, truncate

SERVER = "predict"
LEVELS = ("debug", "info", "warning", "error", "critical")
# These loggers write warnings about invalid HTTP, killed workers and failures of the server itself.
LIBRARIES = ("gunicorn.error", "uvicorn.error")
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


class Console(NamedTuple):
    """Where and how events are written.

    `stdout` and `stderr` are descriptors. `streams` are the objects that Python made for them.
    Without configure_logging, only warnings and errors are written, as by Python.
    """

    lowest: int = logging.WARNING
    is_json: bool = False
    stdout: int = 1
    stderr: int = 2
    streams: tuple[Any, ...] = ()


_console = Console()


def log_event(
    event: str, message: str, level: int = logging.INFO, trace: str = "", **fields: Any
) -> None:
    """Log an event; `fields` become fields of its JSON line."""
    is_progress = level == logging.INFO
    text = f"---> {message}" if is_progress else f"{SERVER}: {message}"
    name = LEVELS[level // logging.DEBUG - 1]
    _write(level, text, {**_fields(name, event, message), **fields}, trace)


def log_request(trace: str, **fields: Any) -> None:
    """Log the response to a request, as an error if there is a traceback.

    `fields`: method, path, status, milliseconds, request (its id), and model and digest if known.
    Headers and bodies are never logged.
    """
    # The path may contain a line break.
    path = quote(fields["path"])
    outcome = f"{fields['status']} in {fields['milliseconds']} ms"
    message = f"{fields['method']} {path} {outcome} (request {fields['request']})"

    if trace:
        log_event("failure", message, logging.ERROR, trace, **fields)
    else:
        log_event("request", message, logging.INFO, **fields)


def choose_request_id(sent: bytes | None) -> bytes:
    """Return the client's request id if it is valid, or else a new id."""
    if sent and REQUEST_ID.fullmatch(sent):
        return sent
    return secrets.token_hex(8).encode()


def _fields(level: str, event: str, message: str) -> dict[str, Any]:
    """Return the fields that every JSON line has."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    fields = {"time": time, "level": level, "event": event, "message": message}
    return {**fields, "process": os.getpid()}


def _write(level: int, text: str, fields: dict[str, Any], trace: str) -> None:
    """Write one event: `trace` and `text` on a terminal, and `fields` as JSON.

    Debug and info go to stdout, and warnings and errors go to stderr.
    """
    if level < _console.lowest:
        return
    trace = truncate(trace, TRACEBACK_CHARACTERS)
    line = f"{trace}{text}"
    if _console.is_json:
        if trace:
            fields["traceback"] = trace
        line = json.dumps(fields, default=str)

    descriptor = _console.stdout if level <= logging.INFO else _console.stderr
    data = f"{line}\n".encode(errors="backslashreplace")
    # Nobody reads the log any more, or the disk is full.
    with suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]


def write_record(record: logging.LogRecord) -> None:
    """Write a record of `logging`; its event is the name of its logger."""
    # An application may log a message that is longer than our own messages.
    message = truncate(_message(record), TRACEBACK_CHARACTERS)
    trace = ""
    if record.exc_info and record.exc_info[1]:
        trace = format_traceback(record.exc_info[1])
    if record.stack_info:
        trace += f"{record.stack_info}\n"
    fields = _fields(record.levelname.lower(), record.name, message)
    _write(record.levelno, f"{record.name}: {message}", fields, trace)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    # The arguments do not fit the message.
    except Exception:
        return f"{record.msg} {record.args!r}"


class ConsoleHandler(logging.Handler):
    """The handler of applications that configure none."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        write_record(record)


class LibraryLogger(logging.Logger):
    """A logger of gunicorn or uvicorn that no configuration turns off."""

    def isEnabledFor(self, level: int) -> bool:
        """Return whether the record is a warning or an error."""
        return level >= logging.WARNING

    def makeRecord(self, *values: Any) -> logging.LogRecord:
        """Return a record that is not made by the factory of the application."""
        return logging.LogRecord(*values[:7])

    def handle(self, record: logging.LogRecord) -> None:
        """Write a record, without filters and handlers."""
        write_record(record)


def configure_logging(log_format: str, level: str) -> None:
    """Write all logs of the process in `log_format`: text or json.

    If `log_format` is empty, the format is text on a terminal and json otherwise. `level` is the
    level of loggers that have no level of their own.
    """
    global _console
    is_json = log_format.lower() == "json" if log_format else not os.isatty(2)
    streams = (sys.stdout, sys.stderr)
    _console = Console(logging.NOTSET, is_json, _copy_of(1), _copy_of(2), streams)

    known = level.lower() if level.lower() in LEVELS else "warning"
    logging.basicConfig(handlers=[ConsoleHandler()], level=known.upper(), force=True)
    logging.captureWarnings(True)
    for name in LIBRARIES:
        # The libraries have got their loggers when they were imported.
        logging.getLogger(name).__class__ = LibraryLogger
    _adopt_stream_handlers()


def _copy_of(descriptor: int) -> int:
    """Return a copy of a descriptor, which the application cannot close by its number."""
    try:
        return os.dup(descriptor)
    # A process can be started without stdout or stderr.
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)


def _adopt_stream_handlers() -> None:
    """Give what applications log to stdout or stderr the form of the log.

    The method of the class is replaced, because an application may add handlers at any time.
    """
    emit_unchanged = logging.StreamHandler.emit

    def emit(handler: Any, record: logging.LogRecord) -> None:
        if _is_console(handler.stream):
            write_record(record)
        else:
            emit_unchanged(handler, record)

    logging.StreamHandler.emit = emit  # type: ignore[assignment, method-assign]


def _is_console(stream: Any) -> bool:
    """Return whether a stream writes to the server's stdout or stderr."""
    if any(stream is original for original in _console.streams):
        return True
    try:
        number = stream.fileno()
        copies = (_console.stdout, _console.stderr)
        return any(os.path.sameopenfile(number, copy) for copy in copies)
    # A stream in memory has no descriptor, and a closed stream has none any more.
    except (AttributeError, TypeError, ValueError, OSError):
        return False
