"""CASES: requests that HTTP forbids, or that different servers read differently."""

from collections.abc import Callable
from typing import Any, NamedTuple

from support.network import raw_request, request_head

BODY = b'{"payload": 1}'
HIDDEN = b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n"
SMUGGLED_BODY = b"0\r\n\r\n" + HIDDEN
CHUNKED = "Transfer-Encoding: chunked"
SIX = "Content-Length: 6"
WEBSOCKET = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA"
)
H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"


class Case(NamedTuple):
    """A malformed request.

    `most` is the maximum number of responses. It is 1 if the bytes may only be read as one request,
    so that no request is hidden in another.
    """

    name: str
    data: bytes
    most: int = 1


def post(*headers: str, body: bytes = b"") -> bytes:
    """Return a POST with the given headers."""
    return request_head("/echo", *headers) + body


def get(path: str, *headers: str) -> bytes:
    """Return a GET with the given headers."""
    return request_head(path, *headers, method="GET")


LINES = [
    "GET",
    "GET /health",
    "GET  /health HTTP/1.1",
    " GET /health HTTP/1.1",
    "GET\t/health\tHTTP/1.1",
    "get /health HTTP/1.1",
    "GET /health HTTP/1.1 x",
    "GET /health HTTP/9.9",
    "GET /health HTTP/1.",
    "GET /health HTTP/11",
    "GET /health http/1.1",
    "GET /health HTTP/1.10",
    "GET /health HTTP/-1.1",
    "GET /health FTP/1.1",
    "GET health HTTP/1.1",
    "GET  HTTP/1.1",
    "G\0T / HTTP/1.1",
    "GE\x7f / HTTP/1.1",
    "GET /\0 HTTP/1.1",
    "GET /\x01 HTTP/1.1",
    "GET /\xff HTTP/1.1",
    "GET /a b HTTP/1.1",
    "BREW / HTTP/1.1",
    "CONNECT here:80 HTTP/1.1",
    "CONNECT / HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "TRACE / HTTP/1.1",
    "PRI * HTTP/2.0",
    "* * *",
    "{}",
    "GET * HTTP/1.1",
    "GET /health HTTP/1.1\0",
    "X" * 9000 + " / HTTP/1.1",
    "\x16\x03\x01\x02\0\x01\0",
    "SSH-2.0-OpenSSH_9.6",
    "EHLO here",
    "*1\r\n$4\r\nPING",
    "GET /health?" + "q" * 60_000 + " HTTP/1.1",
    "GET /" + "a/" * 30_000 + " HTTP/1.1",
]
PATHS = [
    "http://here/health",
    "http://other:99999/health",
    "http://[::1/health",
    "http:///health",
    "//health",
    "///",
    "/./health",
    "/../health",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/health%2f..%2fready",
    "/%68ealth",
    "/health%00",
    "/health%",
    "/health%zz",
    "/health%ff",
    "/%c0%ae%c0%ae/",
    "/health;x=1",
    "/health#x",
    "/health?",
    "/health?%",
    "/static/..%2f..%2fserve",
    "/..\\..\\serve",
    "/%5c..%5c",
    "/echo%0d%0aX:%201",
    "/health%250a",
    "/\u00e9",
    "/%e2%80%ae",
    "/health//",
    "/health/../ready",
    "http://here",
    "?",
    "#",
    "/:80",
    "ftp://here/",
    "javascript:1",
]
HEADERS = [
    "No colon",
    ": empty",
    " Folded: 1",
    "Space : 1",
    "A: 1\r\n folded",
    "A: 1\r\n\tfolded",
    "A\0: 1",
    "A: \0",
    "A: \x01",
    "A: \x7f",
    "A: \xff",
    "A:\r1",
    "A: 1\r",
    "A: 1\nB: 2",
    "A\xff: 1",
    "(A): 1",
    "A,B: 1",
    "Host: other",
    "Host: other\r\nHost: third",
    "A: " + "x" * 70_000,
    "A" * 70_000 + ": 1",
    "\r\n".join(f"A{i}: 1" for i in range(20_000)),
    "A: 1\r\n" * 20_000 + "B: 1",
    "Cookie: " + "a=1;" * 20_000,
    "Content-Type: " + "x;" * 5000,
    "Range: bytes=0-" + ",0-" * 5000,
    "Accept-Encoding: " + "gzip," * 5000,
    "Expect: 200-maybe",
    "Expect: 100-continue",
    "Connection: close, keep-alive",
    "Connection: " + "x," * 1000,
    "X-Forwarded-For: " + "1," * 5000,
    "X-Forwarded-Proto: \x08",
    "Trailer: Host",
    WEBSOCKET,
    H2C,
    "Connection: Upgrade\r\nUpgrade: TLS/1.0",
    "Connection: Upgrade\r\nUpgrade: h2c",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Proxy: http://here",
    "Transfer-Encoding: identity",
    "X-HTTP-Method-Override: DELETE",
    'Forwarded: for="[::1"',
    "Host:",
    "Content-Length: 0",
]
LENGTHS = [
    "-1",
    "+14",
    "14, 14",
    "14,15",
    "0x0e",
    "1e1",
    "14 14",
    " ",
    "14abc",
    "abc",
    "\u00b2",
    "9" * 19,
    "9" * 20,
    "9" * 5000,
    "18446744073709551630",
    "-18446744073709551602",
    "1_4",
    "14;",
    "\t14",
    "00014",
    "14.0",
    "'14'",
]
CODINGS = [
    "chunked, identity",
    "identity, chunked",
    "xchunked",
    "chunked, chunked",
    "x chunked",
    '"chunked"',
    "chunked;q=1",
    " chunked",
    "chunked ",
    "\x0bchunked",
    "chunked\x00",
    "CHUNKED",
    "gzip, chunked",
    "gzip",
    "cow",
    "chunk",
    ",chunked",
    "chunked,",
]
CHUNKS = [
    b"-1\r\n\r\n",
    b"g\r\n\r\n",
    b"0x1\r\n1\r\n",
    b"+1\r\n1\r\n",
    b" 1\r\n1\r\n",
    b"1 \r\n1\r\n",
    b"ffffffffffffffff1\r\n1",
    b"fffffffffffffffff\r\n",
    b"1\n1\n0\n\n",
    b"1\r1\r0\r\r",
    b"1;" + b"a" * 70_000 + b"\r\n1\r\n",
    b"1;a=\0\r\n1\r\n",
    b"1;\n1\r\n",
    b"\r\n1\r\n",
    b"1\r\n12\r\n0\r\n\r\n",
    b"2\r\n1\r\n0\r\n\r\n",
    b"0\r\nHost: other\r\n\r\n",
    b"0\r\nContent-Length: 5\r\n\r\n",
    b"0\r\n" + b"A: 1\r\n" * 20_000 + b"\r\n",
    b"0\r\nA\0: 1\r\n\r\n",
    b"0" * 70_000 + b"1\r\n1\r\n",
    b"1\r\n" + b"1\r\n1\r\n" * 1000 + b"x",
    b"0\r\n\n",
    b"0;\r\r\n\r\n",
    b"1_0\r\n1\r\n",
    b"1.0\r\n1\r\n",
]
SMUGGLED = [
    post(SIX, CHUNKED, body=SMUGGLED_BODY),
    post(CHUNKED, SIX, body=SMUGGLED_BODY),
    post("Content-Length: 5", SIX, body=SMUGGLED_BODY),
    post(SIX, SIX, body=SMUGGLED_BODY),
    post(SIX, "Transfer-Encoding : chunked", body=SMUGGLED_BODY),
    post(SIX, "Transfer-Encoding:\tchunked", body=SMUGGLED_BODY),
    post(SIX, "Transfer-Encoding\x00: chunked", body=SMUGGLED_BODY),
    post(SIX, "X: y\nTransfer-Encoding: chunked", body=SMUGGLED_BODY),
    post("Content-Length: 0\r\nContent-Length: 36", body=HIDDEN),
    post("Content-Length : 36", body=HIDDEN),
    post("Content-Length: +36", body=HIDDEN),
    post("Content-Length: 36", body=HIDDEN),
    get("/health", "A: 1\rContent-Length: 36") + HIDDEN,
    get("/health\r\nX: 1\r\n\r\nGET", "A: 1"),
    post(CHUNKED, body=b"24;\n" + HIDDEN + b"\r\n0\r\n\r\n"),
    request_head("/echo", CHUNKED, version="1.0") + SMUGGLED_BODY,
]
STREAMS = [
    b"\r\n" * 5000,
    b"\n",
    b"\0" * 5000,
    b"\xff" * 5000,
    b"\r\r\r\r",
    b"GET /health\r\n",
    b"GET /health\n\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 9,
    b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n" + HIDDEN,
    b"\r\n\r\n\r\n" + HIDDEN,
    b"GET /health HTTP/1.1\nHost: here\n\n",
    post(SIX, body=b"0"),
    b"POST /ec",
    post("Content-Length: 14"),
    post(CHUNKED, body=b"5\r\nab"),
    post(body=BODY),
    get("/health", CHUNKED),
    get("/health", "Content-Length: 5"),
    b"G",
    get("/health", WEBSOCKET) + b"\x81\x85\0\0\0\0hello",
    get("/echo", H2C) + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /health HTTP/1.1\r\n",
    b"A" * 1_000_000,
]
PIPELINES = {
    "20 at once": (HIDDEN * 20, 20),
    "a bad one between": (HIDDEN + b"x\r\n\r\n" + HIDDEN, 2),
    "400 at once": (HIDDEN * 400, 400),
    "two with bodies": (post("Content-Length: 14", body=BODY) * 2, 2),
    "after close": (get("/health", "Connection: close") + HIDDEN, 1),
    "after HTTP/1.0": (b"GET /health HTTP/1.0\r\n\r\n" + HIDDEN, 1),
    "after a 404": (get("/none") + HIDDEN, 2),
}


def sent_by(kind: str, values: list[Any], build: Callable[[Any], bytes]) -> list[Case]:
    """Return a case for each value, as the bytes that `build` makes of it."""
    return [Case(f"{kind} {value[:40]!r}", build(value)) for value in values]


CASES = [
    *sent_by("line", LINES, raw_request),
    *sent_by("path", PATHS, get),
    *sent_by("header", HEADERS, lambda header: get("/health", header)),
    *sent_by("length", LENGTHS, lambda length: post(f"Content-Length: {length}", body=BODY)),
    *sent_by(
        "coding", CODINGS, lambda coding: post(f"Transfer-Encoding: {coding}", body=b"0\r\n\r\n")
    ),
    *sent_by("chunk", CHUNKS, lambda chunk: post(CHUNKED, body=chunk)),
    *sent_by("smuggled", SMUGGLED, bytes),
    *sent_by("stream", STREAMS, bytes),
    *(Case(f"pipeline {name}", data, most) for name, (data, most) in PIPELINES.items()),
]
