"""uvicorn's HTTP protocol, with an end to headers that have none."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runtime.endpoint import RequestError, failure

MAX_HEADER_BYTES = 64 << 10


class Protocol(HttpToolsProtocol):  # type: ignore[misc, unused-ignore]
    """uvicorn's own, but no header, nor what may follow a body in chunks, is read beyond MAX_HEADER_BYTES.

    The parser joins the pieces of one, which takes ever longer, and all other requests of the worker wait meanwhile.
    What is counted are the bytes since a body went on, or since a request was whole.
    """

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self._unfinished = 0

    def data_received(self, data: bytes) -> None:
        self._unfinished += len(data)
        super().data_received(data)
        if self._unfinished > MAX_HEADER_BYTES and not self.transport.is_closing():
            self.transport.write(too_large())
            self.transport.close()

    def on_body(self, body: bytes) -> None:
        self._unfinished = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unfinished = 0
        super().on_message_complete()


def too_large() -> bytes:
    """The whole answer to such a header."""
    message = f"the header has more than {MAX_HEADER_BYTES:,} bytes: send what is long in the body"
    status, body = failure(RequestError(431, "header_too_large", message))
    fields = ("content-type: application/json", f"content-length: {len(body)}", "connection: close")
    return (
        "\r\n".join(
            (f"HTTP/1.1 {status} Request Header Fields Too Large", *fields, "\r\n")
        ).encode()
        + body
    )
