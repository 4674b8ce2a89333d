"""uvicorn's HTTP protocol with a limit on the size of the headers."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runtime.errors import RequestError, error_response

MAX_HEADER_BYTES = 64 << 10


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
