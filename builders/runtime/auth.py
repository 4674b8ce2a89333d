"""API keys: read from a file at start; with them, the front answers only those who send one."""

import hmac
import re
import time
from pathlib import Path

from runtime.app import Front, Receive, Scope, Send
from runtime.endpoint import RequestError, failure
from runtime.environment import ConfigurationError

KEY = re.compile(rb"[!-~]{16,}")  # what a header can carry; a shorter one can be guessed
FORM = "expected one key a line, each of 16 or more printable ASCII characters without spaces"


def read_keys(path: str) -> tuple[bytes, ...]:
    """The keys in the file at `path`; raises ConfigurationError, which never shows a key."""
    try:
        lines = [line.strip() for line in Path(path).read_bytes().splitlines()]
    except OSError as error:
        raise ConfigurationError(
            f"API_KEY_FILE={path}: can't be read ({error.strerror}); {FORM}"
        ) from None
    for number, line in enumerate(lines, 1):
        if line and not KEY.fullmatch(line):
            raise ConfigurationError(
                f"API_KEY_FILE={path}, line {number}: found {len(line)} other bytes; {FORM}"
            )
    if not any(lines):
        raise ConfigurationError(f"API_KEY_FILE={path}: is empty; {FORM}")
    return tuple(line for line in lines if line)


class GuardedFront(Front):
    """A front that wants a key for all but /health, /ready and /metrics, before it reads a body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._own or self._knows(scope):
            return await super().__call__(scope, receive, send)
        error = RequestError(
            401, "unauthorized", "expected Authorization: Bearer KEY, found none or an unknown key"
        )
        endpoint = self.endpoints.get(scope["path"])
        send = self._noting(send, scope, time.perf_counter(), endpoint)
        return await self._send(send, endpoint.refuse(error) if endpoint else failure(error))

    def _knows(self, scope: Scope) -> bool:
        scheme, _, sent = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
        return scheme.lower() == b"bearer" and any(
            hmac.compare_digest(sent.strip(), key) for key in self.keys
        )
