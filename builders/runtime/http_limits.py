"""Limits on the size of a body and on the time for headers and body."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from runtime.errors import RequestError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Disconnected(Exception):
    """The client closed the connection before its request was complete."""


class BodyReader:
    """A reader of request bodies that enforces `max_bytes` and `seconds`.

    A timer for each request would take longer than its prediction. Instead, one task of the
    application calls `cancel_overdue` a few times per second.
    """

    def __init__(self, max_bytes: int, seconds: float):
        self.max_bytes = max_bytes
        self.seconds = seconds
        self._deadlines: dict[asyncio.Task[Any], float] = {}

    async def read(self, content_length: bytes | None, receive: Receive) -> bytearray:
        """Return the complete body.

        Raises RequestError if it is too large (413) or too slow (408). Raises Disconnected if the
        client closed the connection.
        """
        if content_length is not None and int(content_length) > self.max_bytes:
            raise self._too_large()

        task = asyncio.current_task()
        assert task is not None
        deadline = time.monotonic() + self.seconds
        self._deadlines[task] = deadline
        try:
            return await self._receive_all(receive)
        except asyncio.CancelledError:
            cancelled_by_us = deadline <= time.monotonic()
            if not cancelled_by_us:
                raise
            task.uncancel()
            message = f"the body was not complete after {self.seconds:g} s"
            raise RequestError(408, "too_slow", message) from None
        finally:
            del self._deadlines[task]

    async def _receive_all(self, receive: Receive) -> bytearray:
        body = bytearray()
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise Disconnected
            body += event.get("body", b"")
            if len(body) > self.max_bytes:
                raise self._too_large()
            if not event.get("more_body"):
                return body

    def _too_large(self) -> RequestError:
        found = f"the body has more than {self.max_bytes:,} bytes"
        message = f"{found}. Send fewer rows at once, or set MAX_BODY_BYTES."
        return RequestError(413, "too_large", message)

    def cancel_overdue(self) -> None:
        """Cancel the reading of every body whose deadline has passed."""
        now = time.monotonic()
        overdue = [task for task, deadline in self._deadlines.items() if deadline <= now]
        for task in overdue:
            task.cancel()


class HeaderTimeout:
    """A timeout for connections whose headers are not complete after `seconds`."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self._waiting_since: dict[tuple[Any, Any], float] = {}

    def close_overdue(self, connections: Iterable[Any]) -> None:
        """Close the overdue ones of uvicorn's connections.

        The application calls this method a few times per second.
        """
        now = time.monotonic()
        waiting = [(each, each.cycle) for each in connections if waits_for_header(each)]
        self._waiting_since = {key: self._waiting_since.get(key, now) for key in waiting}
        for (connection, _), since in self._waiting_since.items():
            if since + self.seconds <= now:
                connection.transport.abort()


def waits_for_header(connection: Any) -> bool:
    """Return whether uvicorn waits for request headers on a connection.

    An idle connection does not count: it waits for its next request, and uvicorn closes it.
    """
    is_idle = connection.timeout_keep_alive_task is not None
    if is_idle:
        return False
    request = connection.cycle
    return request is None or bool(request.response_complete)
