"""The server's log: JSON, one line per event; plain text on a terminal."""

import json
import logging
import re
import secrets
import sys
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from runtime.text import TRACEBACK_CHARACTERS, truncate

LOGGER = logging.getLogger("predict")
LOGGER.setLevel(logging.INFO)
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


def log_event(
    event: str, message: str, level: int = logging.INFO, trace: str = "", **fields: Any
) -> None:
    """Log an event; `fields` become fields of its JSON line."""
    LOGGER.log(level, message, extra={"trace": trace, "fields": {"event": event, **fields}})


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


class TextFormatter(logging.Formatter):
    """A formatter for terminals: the traceback, then the message."""

    def format(self, record: logging.LogRecord) -> str:
        is_progress = record.name == LOGGER.name and record.levelno == logging.INFO
        prefix = "--->" if is_progress else f"{record.name}:"
        return f"{_traceback(self, record)}{prefix} {_message(record)}"


class JsonFormatter(logging.Formatter):
    """A formatter that writes one JSON object per line.

    For records of other loggers, `event` is the logger's name.
    """

    def format(self, record: logging.LogRecord) -> str:
        created = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": created.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.name,
            "message": _message(record),
            "process": record.process,
        }
        line.update(getattr(record, "fields", {}))
        if trace := _traceback(self, record):
            line["traceback"] = trace
        return json.dumps(line, default=str)


def _message(record: logging.LogRecord) -> str:
    # An application may log a message that is longer than our own messages.
    return truncate(record.getMessage(), TRACEBACK_CHARACTERS)


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if hasattr(record, "trace"):
        return truncate(str(record.trace), TRACEBACK_CHARACTERS)
    if record.exc_info:
        text = formatter.formatException(record.exc_info)
        return f"{truncate(text, TRACEBACK_CHARACTERS)}\n"
    return ""


class StandardStreams(logging.StreamHandler):  # type: ignore[type-arg]
    """A handler that writes info to stdout, and warnings and errors to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stdout if record.levelno <= logging.INFO else sys.stderr
        super().emit(record)


def configure_logging(log_format: str) -> None:
    """Write all logs of the process in `log_format`: text or json.

    If `log_format` is empty, the format is text on a terminal and json otherwise.
    """
    if not log_format:
        log_format = "text" if sys.stderr.isatty() else "json"
    handler = StandardStreams()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], force=True)
