"""What the daemon tells of itself: a JSON line for each event where a program reads it, text where a person does."""

import json
import logging
import re
import secrets
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from runtime.environment import ConfigurationError

LOG = logging.getLogger("predict")
LOG.setLevel(logging.INFO)
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


def tell(event: str, message: str, level: int = logging.INFO, trace: str = "", **fields: Any) -> None:
    """Logs an event; `fields` stand in its JSON line beside time, level, event, message and traceback."""
    LOG.log(level, message, extra={"event": event, "trace": trace, "fields": fields})


def tell_request(scope: Mapping[str, Any], status: int, seconds: float, trace: str, **fields: Any) -> None:
    """Logs the answer to a request, as an error if there is a traceback; never a header or a body."""
    method, path, milliseconds = scope["method"], scope["path"], round(seconds * 1000, 3)
    fields = {"method": method, "path": path, "status": status, "milliseconds": milliseconds, **fields}
    message = f"{method} {quote(path)} {status} in {milliseconds} ms (request {fields['request']})"
    tell("failure" if trace else "request", message, logging.ERROR if trace else logging.INFO, trace, **fields)


def request_id(sent: bytes | None) -> bytes:
    """The id that a client has sent, if that is short and plain, else a new one."""
    return sent if sent and REQUEST_ID.fullmatch(sent) else secrets.token_hex(8).encode()


class Text(logging.Formatter):
    """Progress as `---> message`, trouble as `predict: message`, with the traceback before it."""

    def format(self, record: logging.LogRecord) -> str:
        start = "--->" if record.name == LOG.name and record.levelno == logging.INFO else f"{record.name}:"
        return f"{self.trace(record)}{start} {record.getMessage()}"

    def trace(self, record: logging.LogRecord) -> str:
        """The traceback of our own events and of anybody's."""
        trace: str = getattr(record, "trace", "")
        return trace or (f"{self.formatException(record.exc_info)}\n" if record.exc_info else "")


class Json(Text):
    """One line; of a message that isn't ours, `event` is the logger's name."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", record.name),
            "message": record.getMessage(),
            "process": record.process,
            **getattr(record, "fields", {}),
        }
        trace = self.trace(record)
        return json.dumps({**line, "traceback": trace} if trace else line, default=str)


class Streams(logging.StreamHandler):  # type: ignore[type-arg]
    """Progress goes to stdout, trouble to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stdout if record.levelno <= logging.INFO else sys.stderr
        super().emit(record)


def set_up(variables: Mapping[str, str]) -> None:
    """Takes over the log of the whole process; raises ConfigurationError for a LOG_FORMAT that there isn't."""
    formats = {"json": Json(), "text": Text()}
    wanted = variables.get("LOG_FORMAT") or ("text" if sys.stderr.isatty() else "json")
    handler = Streams()
    handler.setFormatter(formats.get(wanted, formats["text"]))
    logging.basicConfig(handlers=[handler], force=True)
    if wanted not in formats:
        raise ConfigurationError(f"LOG_FORMAT={wanted}: expected json or text")
