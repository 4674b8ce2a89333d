"""Requests that RFC 9112 forbids, and unusual ones that it allows.

They are VIOLATIONS and VALID, dictionaries by name.
"""

from support.malformed_requests import BODY

GET = "GET /health HTTP/1.1"
POST = "POST /echo HTTP/1.1"
HOST = "Host: here"
LENGTH = f"Content-Length: {len(BODY)}"
CHUNKED = "Transfer-Encoding: chunked"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
UPGRADE = "Connection: Upgrade"


def request(*lines: str, body: bytes = b"") -> bytes:
    """Return a request with these lines, which are a request line and all headers."""
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def get(*headers: str) -> bytes:
    """Return a GET with a Host and other headers."""
    return request(GET, HOST, *headers)


def post(*headers: str, body: bytes = BODY) -> bytes:
    """Return a POST with a Host and other headers."""
    return request(POST, HOST, *headers, body=body)


def chunks(*lines: bytes) -> bytes:
    """Return a POST with a chunked body of these bytes."""
    return post(CHUNKED, body=b"".join(lines))


HOSTS = {
    "no Host": request(GET),
    "no Host with a URL": request("GET http://here/health HTTP/1.1"),
    "two Hosts": request(GET, HOST, "Host: other"),
    "the same Host twice": request(GET, HOST, HOST),
    "two Hosts in HTTP/1.0": request("GET /health HTTP/1.0", HOST, "Host: other"),
    "two Hosts of different case": request(GET, HOST, "hOST: other"),
    "an empty Host": request(GET, "Host:"),
    "a blank Host": request(GET, "Host:  "),
    "a Host with a space": request(GET, "Host: here there"),
    "a list of Hosts": request(GET, "Host: here, there"),
    "a Host with a path": request(GET, "Host: here/health"),
    "a Host with a scheme": request(GET, "Host: http://here"),
    "a Host with a user": request(GET, "Host: me@here"),
    "a Host with a wrong port": request(GET, "Host: here:http"),
    "a Host of two ports": request(GET, "Host: here:80:80"),
    "a Host with an open bracket": request(GET, "Host: [::1"),
    "a Host with a tag": request(GET, "Host: <here>"),
    "a Host in Latin-1": request(GET, "Host: h\xe9re"),
    "a Host with a NUL": request(GET, "Host: he\0re"),
}
LINES = {
    "HTTP/2.0": request("GET /health HTTP/2.0", HOST),
    "HTTP/0.9": b"GET /health\r\n\r\n",
    "HTTP/0.9 with a version": request("GET /health HTTP/0.9", HOST),
    "HTTP/1.2": request("GET /health HTTP/1.2", HOST),
    "HTTP/9.9": request("GET /health HTTP/9.9", HOST),
    "no HTTP": request("GET /health FTP/1.1", HOST),
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
    "the PROXY protocol": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + request(GET, HOST),
    "an unknown method": request("BREW /health HTTP/1.1", HOST),
    "a method in small letters": request("get /health HTTP/1.1", HOST),
    "a target without a slash": request("GET health HTTP/1.1", HOST),
    "a target of another scheme": request("GET ftp://here/health HTTP/1.1", HOST),
    "a URL with a user": request("GET http://me@here/health HTTP/1.1", HOST),
    "a URL without a host": request("GET http:///health HTTP/1.1", HOST),
    "a fragment": request("GET /health#x HTTP/1.1", HOST),
    "a target with a NUL": request("GET /health\0 HTTP/1.1", HOST),
    "a target in Latin-1": request("GET /health?\xe9 HTTP/1.1", HOST),
    "a target with a space": request("GET /health x HTTP/1.1", HOST),
    "CONNECT": request("CONNECT /health HTTP/1.1", HOST),
    "CONNECT to a host": request("CONNECT here:80 HTTP/1.1", HOST),
    "a bare LF after the line": b"GET /health HTTP/1.1\nHost: here\r\n\r\n",
    "a bare CR after the line": b"GET /health HTTP/1.1\rHost: here\r\n\r\n",
    "a space before the headers": request(GET, " X: 1", HOST),
}
HEADERS = {
    "a space before the colon": get("X : 1"),
    "a tab before the colon": get("X\t: 1"),
    "a space before Host's colon": request(GET, "Host : here"),
    "a space in a name": get("X Y: 1"),
    "no colon": get("X"),
    "no name": get(": 1"),
    "a NUL in a name": get("X\0: 1"),
    "a NUL in a value": get("X: \0"),
    "a bare CR in a value": get("X: 1\rY: 2"),
    "a bare LF in a value": get("X: 1\nY: 2"),
    "a bare LF after the headers": b"GET /health HTTP/1.1\r\nHost: here\r\n\n",
    "a fold": get("X: 1\r\n 2"),
    "a fold with a tab": get("X: 1\r\n\t2"),
    "a fold of Host": request(GET, "Host:\r\n here"),
    "a fold of Transfer-Encoding": post("Transfer-Encoding:\r\n chunked", body=CHUNKS),
}
LENGTHS = {
    "two Content-Lengths": post(LENGTH, "Content-Length: 5"),
    "the same Content-Length twice": post(LENGTH, LENGTH),
    "a list of Content-Lengths": post("Content-Length: 14, 14"),
    "an empty Content-Length": post("Content-Length:"),
    "a signed Content-Length": post("Content-Length: +14"),
    "a negative Content-Length": post("Content-Length: -1"),
    "a hexadecimal Content-Length": post("Content-Length: 0xe"),
    "a huge Content-Length": post("Content-Length: " + "9" * 20),
    "Content-Length, then chunked": post(LENGTH, CHUNKED, body=CHUNKS),
    "chunked, then Content-Length": post(CHUNKED, LENGTH, body=CHUNKS),
    "a space before Content-Length's colon": post("Content-Length : 14"),
}
CODINGS = {
    "Transfer-Encoding in HTTP/1.0": request(
        "POST /echo HTTP/1.0", HOST, CHUNKED, "Connection: keep-alive", body=CHUNKS
    ),
    "gzip, chunked": post("Transfer-Encoding: gzip, chunked", body=CHUNKS),
    "gzip and chunked": post("Transfer-Encoding: gzip", CHUNKED, body=CHUNKS),
    "chunked twice": post(CHUNKED, CHUNKED, body=CHUNKS),
    "chunked, chunked": post("Transfer-Encoding: chunked, chunked", body=CHUNKS),
    "chunked, identity": post("Transfer-Encoding: chunked, identity", body=CHUNKS),
    "identity, chunked": post("Transfer-Encoding: identity, chunked", body=CHUNKS),
    "gzip": post("Transfer-Encoding: gzip"),
    "identity": post("Transfer-Encoding: identity", LENGTH),
    "xchunked": post("Transfer-Encoding: xchunked", body=CHUNKS),
    "chunked with a parameter": post("Transfer-Encoding: chunked;q=1", body=CHUNKS),
    "a quoted chunked": post('Transfer-Encoding: "chunked"', body=CHUNKS),
    "a comma before chunked": post("Transfer-Encoding: ,chunked", body=CHUNKS),
    "an empty Transfer-Encoding": post("Transfer-Encoding:", body=CHUNKS),
    "a vertical tab before chunked": post("Transfer-Encoding: \x0bchunked", body=CHUNKS),
    "chunked without a GET's body": get("Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
}
CHUNKED_BODIES = {
    "a last chunk without its CRLF": chunks(b"0\r\n"),
    "a last chunk without both CRLFs": chunks(b"0"),
    "a last chunk after a CR": chunks(b"0\r"),
    "a last chunk before a bare LF": chunks(b"0\r\n\n"),
    "no last chunk": chunks(b"1\r\n1\r\n"),
    "a chunk without its CRLF": chunks(b"1\r\n1", b"0\r\n\r\n"),
    "a chunk longer than its size": chunks(b"1\r\n12\r\n0\r\n\r\n"),
    "a chunk before a bare LF": chunks(b"1\r\n1\n0\r\n\r\n"),
    "a size before a bare LF": chunks(b"1\n1\r\n0\r\n\r\n"),
    "a size before a bare CR": chunks(b"1\r1\r\n0\r\n\r\n"),
    "a negative size": chunks(b"-1\r\n1\r\n0\r\n\r\n"),
    "a size with 0x": chunks(b"0x1\r\n1\r\n0\r\n\r\n"),
    "a size after a space": chunks(b" 1\r\n1\r\n0\r\n\r\n"),
    "a size before a space": chunks(b"1 \r\n1\r\n0\r\n\r\n"),
    "a huge size": chunks(b"ffffffffffffffff1\r\n1\r\n0\r\n\r\n"),
    "an empty size": chunks(b"\r\n1\r\n0\r\n\r\n"),
    "an extension before a bare LF": chunks(b"1;a\n1\r\n0\r\n\r\n"),
    "an extension with a bare CR": chunks(b"1;a\rb\r\n1\r\n0\r\n\r\n"),
    "an extension with a NUL": chunks(b"1;a=\0\r\n1\r\n0\r\n\r\n"),
    "a trailer with a NUL": chunks(b"0\r\nX: \0\r\n\r\n"),
    "a trailer with a space before its colon": chunks(b"0\r\nX : 1\r\n\r\n"),
    "a trailer before a bare LF": chunks(b"0\r\nX: 1\n\r\n"),
    "a folded trailer": chunks(b"0\r\nX: 1\r\n 2\r\n\r\n"),
    "Content-Length as a trailer": chunks(b"0\r\nContent-Length: 5\r\n\r\n"),
}
VIOLATIONS = {**HOSTS, **LINES, **HEADERS, **LENGTHS, **CODINGS, **CHUNKED_BODIES}

# Each is a request and whether the connection is closed after its answer.
VALID = {
    "no Host in HTTP/1.0": (request("GET /health HTTP/1.0"), True),
    "HTTP/1.0 with keep-alive": (
        request("GET /health HTTP/1.0", HOST, "Connection: keep-alive"),
        True,
    ),
    "close": (get("Connection: close"), True),
    "a Host with a port": (request(GET, "Host: here:80"), False),
    "a Host with an empty port": (request(GET, "Host: here:"), False),
    "a Host with an underscore": (request(GET, "Host: my_service:5000"), False),
    "a Host of numbers": (request(GET, "Host: 127.0.0.1:5111"), False),
    "a Host in IPv6": (request(GET, "Host: [::1]:5111"), False),
    "a Host in IPv6 with a zone": (request(GET, "Host: [fe80::1%25eth0]"), False),
    "a Host in capitals": (request(GET, "HOST: HERE.EXAMPLE."), False),
    "a Host before spaces": (request(GET, "Host:   here  \t"), False),
    "a Host after other headers": (request(GET, "X: 1", HOST), False),
    "a URL with the same host": (request("GET http://here/health HTTP/1.1", HOST), False),
    "a URL with another host": (request("GET http://other:80/health HTTP/1.1", HOST), False),
    "a URL of https": (request("GET HTTPS://[::1]/health?x HTTP/1.1", HOST), False),
    "a URL without a path": (request("GET http://here HTTP/1.1", HOST), False),
    "a URL with a query and no path": (request("GET http://here:80?a=1 HTTP/1.1", HOST), False),
    "Expect": (post(LENGTH, "Expect: 100-continue"), False),
    "a query": (request("GET /health?a=/?[]{}|^%zz HTTP/1.1", HOST), False),
    "an empty line before it": (b"\r\n" + get(), False),
    "two spaces before the target": (request("GET  /health HTTP/1.1", HOST), False),
    "an empty header": (get("X:"), False),
    "a header in Latin-1": (get("X: \xe9"), False),
    "a GET with a body": (request(GET, HOST, LENGTH, body=BODY), False),
    "a GET with chunks": (request(GET, HOST, CHUNKED, body=CHUNKS), False),
    "a Content-Length before a space": (post(f"{LENGTH} "), False),
    "a Content-Length with zeros": (post("Content-Length: 00014"), False),
    "chunked": (post(CHUNKED, body=CHUNKS), False),
    "chunked in capitals": (post("TRANSFER-ENCODING: CHUNKED", body=CHUNKS), False),
    "chunked before a space": (post(f"{CHUNKED} ", body=CHUNKS), False),
    "chunks with extensions": (
        chunks(b'0e;a;b=1;c="d;\\"e"\r\n', BODY, b"\r\n0;x=1\r\n\r\n"),
        False,
    ),
    "sizes with zeros": (chunks(b"000E\r\n", BODY, b"\r\n00\r\n\r\n"), False),
    "trailers": (chunks(CHUNKS[:-2], b"X: 1\r\nHost: other\r\n\r\n"), False),
    "an upgrade": (get(UPGRADE, "Upgrade: websocket"), False),
    "an upgrade to HTTP/2": (post(LENGTH, UPGRADE, "Upgrade: h2c"), False),
    "an upgrade with chunks": (post(CHUNKED, UPGRADE, "Upgrade: h2c", body=CHUNKS), False),
    "an upgrade and close": (get("Connection: close, upgrade", "Upgrade: h2c"), True),
    "an upgrade in HTTP/1.0": (
        request("GET /health HTTP/1.0", UPGRADE, "Upgrade: h2c"),
        True,
    ),
    "Upgrade alone": (post(LENGTH, "Upgrade: h2c"), False),
}
