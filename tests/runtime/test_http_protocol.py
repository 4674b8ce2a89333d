"""The rules of HTTP/1.1: after an invalid request, nothing is read."""

import re
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from support.applications import routes, write_application
from support.malformed_http import VALID, VIOLATIONS
from support.malformed_requests import BODY, HIDDEN
from support.network import connect, read_last_response, read_response, request_head
from support.server import Server, error_in
from support.uvicorn_alone import uvicorn_alone

LENGTH = f"Content-Length: {len(BODY)}"
SLOW_BODY = b'{"payload": 0.3}'
SLOW_LENGTH = f"Content-Length: {len(SLOW_BODY)}"
H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
CLOSE = "Connection: close"
PIECE_SECONDS = 0.02
SILENT_SECONDS = 2
NEXT = request_head("/health", CLOSE, method="GET")
ADVICE = "Check the client or the proxy that sent it."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of an application with a quick and a slow function."""
    directory = tmp_path_factory.mktemp("protocol")
    write_application(directory)
    with Server(directory, routes("echo", "sleep"), BODY_SECONDS="1") as server:
        yield server.wait_until_ready()


class Answer(NamedTuple):
    """What a server sent, and whether it closed the connection."""

    received: bytes
    is_closed: bool

    @property
    def statuses(self) -> list[int]:
        """The statuses of all final responses."""
        return [int(status) for status in re.findall(rb"HTTP/1\.1 ([2-5]\d\d) ", self.received)]


def exchange(port: int, *pieces: bytes) -> Answer:
    """Send pieces and read until the server closes the connection or is silent."""
    received = b""
    with connect(port) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(PIECE_SECONDS)
            connection.settimeout(SILENT_SECONDS)
            while data := connection.recv(1 << 16):
                received += data
        except TimeoutError:
            return Answer(received, False)
        except ConnectionError:
            pass
    return Answer(received, True)


def split(in_one_piece: bool, *pieces: bytes) -> tuple[bytes, ...]:
    """Return the pieces joined, or as they are."""
    return (b"".join(pieces),) if in_one_piece else pieces


@pytest.mark.parametrize("name", VIOLATIONS)
@pytest.mark.parametrize("in_one_piece", [True, False])
def test_server_rejects_invalid_http_and_reads_nothing_after_it(
    server: Server, name: str, in_one_piece: bool
) -> None:
    answer = exchange(server.port, *split(in_one_piece, VIOLATIONS[name], HIDDEN))

    assert answer.statuses == [400]
    assert answer.is_closed
    assert b'"code":"invalid_http"' in answer.received
    assert len(answer.received) < 500


@pytest.mark.parametrize("name", VALID)
@pytest.mark.parametrize("in_one_piece", [True, False])
def test_server_answers_unusual_but_valid_http_and_the_next_request(
    server: Server, name: str, in_one_piece: bool
) -> None:
    request, is_last = VALID[name]
    answer = exchange(server.port, *split(in_one_piece, request, NEXT))

    assert answer.statuses == ([200] if is_last else [200, 200])
    assert answer.is_closed


def test_uvicorn_alone_accepts_invalid_http() -> None:
    with uvicorn_alone() as port:
        accepted = {
            name
            for name, request in VIOLATIONS.items()
            if exchange(port, request + NEXT).statuses[:1] == [200]
        }

    expected = {
        "two Hosts",
        "no Host",
        "an empty Host",
        "a Host with a space",
        "Transfer-Encoding in HTTP/1.0",
        "HTTP/2.0",
        "gzip, chunked",
    }
    assert expected <= accepted


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("two Hosts", "expected one Host header, found 2"),
        ("no Host", "expected one Host header, found 0"),
        ("a Host with a space", "Host is not a host name or an address"),
        ("Transfer-Encoding in HTTP/1.0", "HTTP/1.0 has no Transfer-Encoding"),
        ("gzip, chunked", "Transfer-Encoding must be chunked"),
        ("HTTP/2.0", "expected HTTP/1.1, found HTTP/2.0"),
        ("a fragment", "the target is neither a path nor a URL"),
        ("CONNECT", "CONNECT is for proxies"),
        ("two Content-Lengths", "Duplicate Content-Length"),
        ("HTTP/2's preface", "expected HTTP/1.1, found HTTP/2.0"),
        ("TLS", "the client uses TLS. The address begins with http://, not https://"),
        ("the PROXY protocol", "found the PROXY protocol"),
    ],
)
def test_response_to_invalid_http_names_the_rule(server: Server, name: str, reason: str) -> None:
    with server.connect(VIOLATIONS[name]) as connection:
        response = read_last_response(connection)

    assert error_in(response) == {
        "code": "invalid_http",
        "message": f"the request is not valid HTTP ({reason}). {ADVICE}",
        "path": None,
    }


@pytest.mark.parametrize("in_one_piece", [True, False])
def test_server_ignores_an_upgrade_and_reads_the_body(server: Server, in_one_piece: bool) -> None:
    head = request_head("/echo", LENGTH, *H2C)
    answer = exchange(server.port, *split(in_one_piece, head, BODY, NEXT))

    assert answer.statuses == [200, 200]
    assert b'{"payload":{"echo":1}}' in answer.received


def test_uvicorn_alone_serves_the_body_of_an_upgrade_as_a_request() -> None:
    head = request_head("/", f"Content-Length: {len(NEXT)}", *H2C)
    with uvicorn_alone() as port:
        assert exchange(port, head, NEXT).statuses == [200, 200]


def test_body_of_an_upgrade_is_not_a_request(server: Server) -> None:
    head = request_head("/echo", f"Content-Length: {len(NEXT)}", *H2C, CLOSE)
    assert exchange(server.port, head, NEXT).statuses == [400]


def test_server_answers_many_upgrades_on_one_connection(server: Server) -> None:
    request = request_head("/health", *H2C, method="GET")
    assert exchange(server.port, request * 200 + NEXT).statuses == [200] * 201

    last = request_head("/health", "Connection: close, Upgrade", "Upgrade: h2c", method="GET")
    answer = exchange(server.port, request + last + HIDDEN)
    assert answer.statuses == [200, 200]
    assert answer.is_closed


def test_trailer_does_not_change_the_headers(server: Server) -> None:
    body = b"%x\r\n%s\r\n0\r\n" % (len(BODY), BODY)
    trailers = b"Content-Type: text/html\r\nHost: other\r\nX-Request-Id: of-the-trailer\r\n\r\n"
    head = request_head("/echo", "Transfer-Encoding: chunked", CLOSE, "X-Request-Id: mine")

    with server.connect(head) as connection:
        connection.sendall(body + trailers)
        response = read_last_response(connection)

    assert response.status_code == 200
    assert response.headers["X-Request-Id"] == "mine"


def test_invalid_request_is_not_answered_before_the_one_in_flight(server: Server) -> None:
    slow = request_head("/sleep", SLOW_LENGTH) + SLOW_BODY
    invalid = VIOLATIONS["two Hosts"]

    for data in (slow + invalid + HIDDEN, slow + slow + invalid):
        with server.connect(data) as connection:
            first = read_response(connection)
            assert first.status_code == 200
            rest = b""
            while piece := connection.recv(1 << 16):
                rest += piece

        assert b"HTTP/1.1 400" not in rest
        assert rest.count(b"HTTP/1.1 200") == data.count(b"/sleep") - 1


def test_header_without_end_behind_a_slow_request_is_not_parsed(server: Server) -> None:
    slow = request_head("/sleep", SLOW_LENGTH) + SLOW_BODY
    endless = request_head("/health", "X-Long: ", method="GET").rstrip() + b"a" * (1 << 18)

    with server.connect(slow + endless) as connection:
        response = read_last_response(connection)
    assert response.status_code == 200


def test_request_with_an_invalid_body_behind_a_slow_one_is_not_answered_first(
    server: Server,
) -> None:
    slow = request_head("/sleep", SLOW_LENGTH) + SLOW_BODY
    invalid = request_head("/echo", "Transfer-Encoding: chunked") + b"x\r\n"

    with server.connect(slow + invalid + HIDDEN) as connection:
        assert read_response(connection).status_code == 200
        assert read_last_response(connection).status_code == 408
