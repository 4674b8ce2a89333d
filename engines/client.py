"""Send requests to a predict server on this machine.

This module uses only the standard library and runs on Python 3.9.
"""

from __future__ import annotations

import json
import math
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

# Requests to this machine must not go through a proxy.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
SECONDS = 30
WAIT_SECONDS = "60"


class WrongAnswer(Exception):
    """A server's answer is not the expected one; the message has both."""


def fetch(url: str, body: bytes | None = None) -> tuple[int, Any]:
    """Return the status and the decoded JSON of an answer.

    The request is a POST if there is a `body`, and a GET otherwise.
    Raises WrongAnswer if the answer is not JSON, and OSError if there is no answer.
    """
    headers = authorization()
    if body:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(url, body, headers)
    try:
        with OPENER.open(request, timeout=SECONDS) as response:
            status = response.status
            text = response.read()
    except urllib.error.HTTPError as error:
        status = error.code
        text = error.read()

    try:
        return status, json.loads(text)
    except ValueError:
        raise WrongAnswer(f"{url}: status {status}, expected JSON, found {text[:80]!r}") from None


def authorization() -> dict[str, str]:
    """Return the header with the first key of API_KEY_FILE, or {} without a key."""
    file = os.environ.get("API_KEY_FILE")
    if not file:
        return {}
    keys = Path(file).read_text().split()
    if not keys:
        return {}
    return {"Authorization": f"Bearer {keys[0]}"}


def wait_seconds() -> float:
    """Return the value of WAIT, the time to wait for a server.

    Raises ValueError if it is not a number of seconds.
    """
    text = os.environ.get("WAIT") or WAIT_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if 0 <= seconds < math.inf:
        return seconds
    raise ValueError(f"WAIT={text}: expected a number of seconds, 0 or more")


def is_refused(error: Exception) -> bool:
    """Return whether `error` means that nothing listens on the port."""
    return isinstance(getattr(error, "reason", error), ConnectionRefusedError)


def error_of(answer: Any) -> dict[str, Any]:
    """Return the error object of a predict server's answer, or {} if it has none."""
    error = answer.get("error") if isinstance(answer, dict) else None
    return error if isinstance(error, dict) else {}


def reason_of(answer: Any) -> str:
    """Return the message of an error response, or the complete answer if it has none."""
    return str(error_of(answer).get("message") or answer)
