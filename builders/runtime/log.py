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


def tell(
    event: str, message: str, level: int = logging.INFO, trace: str = "", **fields: Any
) -> None:
    """Logs an event; `fields` stand in its JSON line beside time, level, event, message and traceback."""
    LOG.log(level, message, extra={"trace": trace, "fields": {"event": event, **fields}})


def tell_request(trace: str, **fields: Any) -> None:
    """Logs the answer to a request, as an error if there is a traceback; never a header or a body."""
    event, level = ("failure", logging.ERROR) if trace else ("request", logging.INFO)
    path = quote(fields["path"])  # which may hold a line's end
    message = "{method} {0} {status} in {milliseconds} ms (request {request})".format(
        path, **fields
    )
    tell(event, message, level, trace, **fields)


def request_id(sent: bytes | None) -> bytes:
    """The id that a client has sent, if that is short and plain, else a new one."""
    return sent if sent and REQUEST_ID.fullmatch(sent) else secrets.token_hex(8).encode()


class Lines(logging.Formatter):
    """JSON, in which a message that isn't ours has its logger's name as `event`; or text, a traceback first."""

    as_json = True

    def format(self, record: logging.LogRecord) -> str:
        raised = f"{self.formatException(record.exc_info)}\n" if record.exc_info else ""
        trace, message, level = (
            getattr(record, "trace", raised),
            record.getMessage(),
            record.levelname.lower(),
        )
        if not self.as_json:
            return f"{trace}{'--->' if (record.name, level) == (LOG.name, 'info') else f'{record.name}:'} {message}"
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": time,
            "level": level,
            "event": record.name,
            "message": message,
            "process": record.process,
        }
        line |= getattr(record, "fields", {}) | ({"traceback": trace} if trace else {})
        return json.dumps(line, default=str)


class Streams(logging.StreamHandler):  # type: ignore[type-arg]
    """Progress goes to stdout, trouble to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stdout if record.levelno <= logging.INFO else sys.stderr
        super().emit(record)


def set_up(variables: Mapping[str, str]) -> None:
    """Takes over the log of the whole process; raises ConfigurationError for a LOG_FORMAT that there isn't."""
    wanted = variables.get("LOG_FORMAT") or ("text" if sys.stderr.isatty() else "json")
    handler, formatter = Streams(), Lines()
    formatter.as_json = wanted == "json"
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], force=True)
    if wanted not in ("json", "text"):
        raise ConfigurationError(f"LOG_FORMAT={wanted}: expected json or text")
