"""uvicorn's HTTP protocol with the rules and the limit that it omits."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runtime.errors import RequestError, error_response

MAX_HEADER_BYTES = 64 << 10
AUTHORITY = rb"(?:\[[\w:.%~-]+\]|[\w.~!$&'()*+,;=%-]+)(?::[0-9]*)?"
HOST = re.compile(AUTHORITY)
# A path, or a URL. OPTIONS may have the target `*`. A request's target has no fragment: it contains
# no `#`.
TARGET = re.compile(rb"(?:(?i:https?)://" + AUTHORITY + rb")?/[!\"$-~]*|\*")
URL_WITHOUT_PATH = re.compile(rb"((?i:https?)://" + AUTHORITY + rb")((?:\?[!\"$-~]*)?)")
# The first bytes of other protocols. A client with a wrong address or setting sends them.
OTHER_PROTOCOLS = {
    b"\x16\x03": "the client uses TLS. The address begins with http://, not https://",
    b"PRI * HTTP/2": "expected HTTP/1.1, found HTTP/2.0",
    b"PROXY ": "found the PROXY protocol",
}

Headers = Sequence[tuple[bytes, bytes]]


class InvalidRequest(Exception):
    """A request that RFC 9112 forbids, although the parser accepts it."""


class StrictProtocol(HttpToolsProtocol):  # type: ignore[misc, unused-ignore]
    """uvicorn's HTTP protocol that rejects invalid HTTP and too large headers.

    An invalid request gets a 400, and the connection is closed. Later requests of the connection
    are not read, because the server and a proxy may disagree about where they begin.

    uvicorn has no limit on headers. Its parser joins the parts of a header. The longer the header
    is, the more time that takes, and all other requests of the worker wait. The limit also applies
    to the trailers of a chunked body: the protocol counts the bytes since the last part of a body
    or since the last complete request.
    """

    parser: Any
    url: bytes
    headers: list[tuple[bytes, bytes]]

    def __init__(self, *arguments: Any, **keywords: Any):
        super().__init__(*arguments, **keywords)
        self._header_bytes = 0
        self._is_rejected = False

    def data_received(self, data: bytes) -> None:
        """Parse `data`; after invalid HTTP or beyond the limit, close the connection."""
        if self._is_rejected:
            return
        self._header_bytes += len(data)
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except HttpParserError as error:
            invalid = invalid_http(error, data)
            self.logger.warning(str(invalid))
            self._reject(invalid)

        if self._header_bytes > MAX_HEADER_BYTES:
            self._reject(header_too_large())

    def _parse(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                self.parser.feed_data(rest)
                return
            except HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
                self._parse_without_upgrade()

    def _parse_without_upgrade(self) -> None:
        """Parse the last head again without its Upgrade header, which a server may ignore.

        The parser would skip the body of a request with this header, and parse the body as the
        next request.
        """
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        head = b"\r\n".join([*lines, b"", b""])

        self.parser = HttpRequestParser(self)
        # As in uvicorn: data after a request with `Connection: close` is ignored.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(head)

    def on_headers_complete(self) -> None:
        """Check the head of a request and start the request."""
        url = URL_WITHOUT_PATH.fullmatch(self.url)
        if url:
            self.url = url[1] + b"/" + url[2]
        check_head(self.parser.get_http_version(), self.url, self.headers)
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise InvalidRequest("CONNECT is for proxies")
            # `_parse_without_upgrade` starts this request.
            return

        super().on_headers_complete()
        # The parser appends the trailers of a chunked body to this list. They are no headers.
        self.headers = []

    def on_body(self, body: bytes) -> None:
        """Restart the count, because the limits of a body are different."""
        self._header_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Restart the count for the next request."""
        self._header_bytes = 0
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _reject(self, error: RequestError) -> None:
        """Send an error and close the connection.

        If requests are in flight, the connection is closed after their responses, without the
        error. The client would treat the error as the response to the oldest request. A queued
        request with an invalid body never becomes complete and gets a 408.
        """
        self._is_rejected = True
        request = self.cycle
        is_answered = request is None or request.response_complete
        is_next = is_answered or (request.more_body and not self.pipeline)
        if not is_next:
            request.keep_alive = False
        elif not self.transport.is_closing():
            self.transport.write(last_response(error))
            self.transport.close()


def check_head(version: str, target: bytes, headers: Headers) -> None:
    """Raise InvalidRequest if RFC 9112 forbids a head that the parser accepts."""
    if version not in ("1.0", "1.1"):
        raise InvalidRequest(f"expected HTTP/1.1, found HTTP/{version}")
    if not TARGET.fullmatch(target):
        raise InvalidRequest("the target is neither a path nor a URL")

    check_host(version, [value for name, value in headers if name == b"host"])
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings:
        check_codings(version, codings)


def check_host(version: str, hosts: Sequence[bytes]) -> None:
    """Raise InvalidRequest unless there is one valid Host.

    In HTTP/1.0 it may be missing.
    """
    if not hosts and version == "1.0":
        return
    if len(hosts) != 1:
        raise InvalidRequest(f"expected one Host header, found {len(hosts)}")
    if not HOST.fullmatch(hosts[0].strip()):
        raise InvalidRequest("Host is not a host name or an address")


def check_codings(version: str, codings: Sequence[bytes]) -> None:
    """Raise InvalidRequest unless the only transfer coding is chunked, in HTTP/1.1."""
    if version == "1.0":
        raise InvalidRequest("HTTP/1.0 has no Transfer-Encoding")
    if [coding.strip().lower() for coding in codings] != [b"chunked"]:
        raise InvalidRequest("Transfer-Encoding must be chunked")


def invalid_http(error: HttpParserError, data: bytes) -> RequestError:
    """Return the error for a request that the parser or `check_head` has rejected.

    `data` is the last part of the request.
    """
    others = [name for start, name in OTHER_PROTOCOLS.items() if data.startswith(start)]
    reason = others[0] if others else error
    if isinstance(error.__context__, InvalidRequest):
        reason = error.__context__
    advice = "Check the client or the proxy that sent it."
    return RequestError(400, "invalid_http", f"the request is not valid HTTP ({reason}). {advice}")


def header_too_large() -> RequestError:
    """Return the error for headers beyond the limit."""
    limit = f"the headers have more than {MAX_HEADER_BYTES:,} bytes"
    return RequestError(431, "header_too_large", f"{limit}. Send long values in the body.")


def last_response(error: RequestError) -> bytes:
    """Return the complete response to an error, after which the connection is closed."""
    response = error_response(error)
    head = (
        f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
        "content-type: application/json",
        f"content-length: {len(response.body)}",
        "connection: close",
        "",
        "",
    )
    return "\r\n".join(head).encode() + response.body
