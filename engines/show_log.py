"""Print a server's log: as text on a terminal, and unchanged otherwise.

Usage: show_log.py <LOG       LOG_FORMAT=text or LOG_FORMAT=json selects a format

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import datetime
from typing import Any, TextIO

# Escape sequences in a log could control the terminal.
CONTROL = set(range(32)) - set(b"\t\n") | set(range(127, 160))
VISIBLE = {code: f"\\x{code:02x}" for code in CONTROL}


def text_of(line: str) -> str:
    """Return one line of the log as text.

    The text is the traceback, if there is one, then time, level and message. A line that is not
    from the server's JSON log is returned unchanged.
    """
    event = parse(line)
    if event is None:
        return line
    line = f"{local_time(event)} {event['level']}: {event['message']}"
    visible = f"{event.get('traceback', '')}{line}".translate(VISIBLE)
    # JSON can contain lone surrogates, which no encoding can represent.
    return visible.encode(errors="backslashreplace").decode()


def parse(line: str) -> dict[str, Any] | None:
    """Return the event in a line of the server's JSON log, or None for any other line."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(event, dict) and {"time", "level", "message"} <= set(event):
        return event
    return None


def local_time(event: dict[str, Any]) -> str:
    """Return the time of an event on this machine's clock, to the second."""
    try:
        return datetime.fromisoformat(str(event["time"])).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return str(event["time"])


def is_text(output: TextIO) -> bool:
    """Return whether the log is printed as text to `output`."""
    log_format = os.environ.get("LOG_FORMAT")
    return log_format == "text" if log_format else output.isatty()


def print_end(log: str, lines: int) -> None:
    """Print the last `lines` lines of a log to stderr."""
    convert = text_of if is_text(sys.stderr) else str
    for line in log.splitlines()[-lines:]:
        print(convert(line), file=sys.stderr)


def main() -> int:
    """Print the log on standard input and return the exit code."""
    # `make logs | head` and Ctrl-C end this program without a traceback.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]

    convert = text_of if is_text(sys.stdout) else str
    for line in sys.stdin:
        print(convert(line.rstrip("\n")), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
