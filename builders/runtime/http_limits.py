"""Limits on the size and duration of a request's headers and body."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runtime.errors import RequestError, error_response

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MAX_HEADER_BYTES = 64 << 10


class Disconnected(Exception):
    """The client closed the connection before its request was complete."""


class LimitedProtocol(HttpToolsProtocol):  # type: ignore[misc, unused-ignore]
    """uvicorn's HTTP protocol with a limit on the size of the headers.

    uvicorn has no such limit. Its parser joins the parts of a header. The longer the header is, the
    more time that takes, and all other requests of the worker wait. The limit also applies to the
    trailers of a chunked body: the protocol counts the bytes since the last part of a body or since
    the last complete request.
    """

    def __init__(self, *arguments: Any, **keywords: Any):
        super().__init__(*arguments, **keywords)
        self._header_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Parse `data`; beyond the limit, send a 431 and close the connection."""
        self._header_bytes += len(data)
        super().data_received(data)
        if self._header_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
            self.transport.write(header_too_large())
            self.transport.close()

    def on_body(self, body: bytes) -> None:
        """Restart the count, because the limits of a body are different."""
        self._header_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Restart the count for the next request."""
        self._header_bytes = 0
        super().on_message_complete()


def header_too_large() -> bytes:
    """Return a complete 431 response."""
    limit = f"the headers have more than {MAX_HEADER_BYTES:,} bytes"
    message = f"{limit}. Send long values in the body."
    response = error_response(RequestError(431, "header_too_large", message))
    head = (
        f"HTTP/1.1 {response.status} Request Header Fields Too Large",
        "content-type: application/json",
        f"content-length: {len(response.body)}",
        "connection: close",
        "",
        "",
    )
    return "\r\n".join(head).encode() + response.body


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
        message = f"the body has more than {self.max_bytes:,} bytes. Send fewer rows at once."
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
