"""Limit the length of messages and tracebacks.

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import traceback

MESSAGE_CHARACTERS = 2_000
TRACEBACK_CHARACTERS = 10_000


def truncate(text: str, limit: int = MESSAGE_CHARACTERS) -> str:
    """Return `text`, without its middle part if it has more than `limit` characters.

    The first part of a message names the problem, and the last part says what to do.
    """
    surplus = len(text) - limit
    if surplus <= 0:
        return text
    last = limit // 4
    first = limit - last
    return f"{text[:first]}… ({surplus:,} characters more) …{text[-last:]}"


def format_traceback(error: BaseException) -> str:
    """Return the traceback of `error`, truncated."""
    # Python 3.9 requires all three arguments.
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return truncate("".join(lines), TRACEBACK_CHARACTERS)
