"""The limits on the size and duration of a request body, over real connections."""

import time
from collections.abc import Iterator

import pytest
from support.applications import routes, write_application
from support.network import read_last_response, read_response, request_head
from support.server import Server, error_in

MAX_BODY_BYTES = 8 << 20
BODY_SECONDS = 1
CHUNK_BYTES = 1 << 16
VALID_BODY = b'{"payload": 1}'
LENGTH = f"Content-Length: {len(VALID_BODY)}"
CHUNKED = "Transfer-Encoding: chunked"
CLOSE = "Connection: close"
TOO_LARGE = {
    "code": "too_large",
    "message": "the body has more than 8,388,608 bytes. Send fewer rows at once, or set "
    "MAX_BODY_BYTES.",
    "path": None,
}
TOO_SLOW = {"code": "too_slow", "message": "the body was not complete after 1 s", "path": None}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits a second for a body of at most 8 MiB."""
    directory = tmp_path_factory.mktemp("limits")
    write_application(directory)
    limits = {"MAX_BODY_BYTES": str(MAX_BODY_BYTES), "BODY_SECONDS": str(BODY_SECONDS)}
    limits["HEADER_SECONDS"] = "1"
    with Server(directory, routes("echo"), **limits) as server:
        yield server.wait_until_ready()


def chunk(data: bytes) -> bytes:
    """Return a chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_server_rejects_a_body_whose_declared_length_is_too_large(server: Server) -> None:
    head = request_head("/echo", f"Content-Length: {MAX_BODY_BYTES + 1}")

    with server.connect(head) as connection:
        response = read_response(connection)

    assert response.status_code == 413
    assert error_in(response) == TOO_LARGE


def test_server_rejects_a_chunked_body_once_it_is_too_large(server: Server) -> None:
    full_chunks = chunk(b" " * CHUNK_BYTES) * (MAX_BODY_BYTES // CHUNK_BYTES)

    with server.connect(request_head("/echo", CHUNKED) + full_chunks) as connection:
        connection.sendall(chunk(b" "))
        response = read_response(connection)

    assert response.status_code == 413
    assert error_in(response) == TOO_LARGE


def test_client_that_sends_all_of_a_large_body_reads_the_response(server: Server) -> None:
    # This client reads nothing before it has sent everything.
    head = request_head("/echo", f"Content-Length: {20 * MAX_BODY_BYTES}")
    with server.connect(head) as connection:
        for _ in range(20):
            connection.sendall(b" " * MAX_BODY_BYTES)
        connection.sendall(request_head("/echo", LENGTH, CLOSE) + VALID_BODY)
        first = read_response(connection)
        second = read_last_response(connection)

    assert (first.status_code, error_in(first)) == (413, TOO_LARGE)
    # The rest of the body was not taken for a request.
    assert second.status_code == 200


def test_connection_is_closed_if_a_large_body_does_not_end(server: Server) -> None:
    head = request_head("/echo", f"Content-Length: {1 << 40}")
    with server.connect(head) as connection, pytest.raises(ConnectionError):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            connection.sendall(b" " * CHUNK_BYTES)


def test_connection_is_closed_if_the_client_waits_before_a_large_body(server: Server) -> None:
    head = request_head("/echo", f"Content-Length: {1 << 30}", "Expect: 100-continue")
    with server.connect(head) as connection:
        response = read_last_response(connection)
    assert (response.status_code, response.headers["connection"]) == (413, "close")


def test_server_reads_a_body_of_the_largest_size(server: Server) -> None:
    body = VALID_BODY.ljust(MAX_BODY_BYTES)
    assert server.post("/echo", body).status_code == 200

    with server.connect(request_head("/echo", CHUNKED, CLOSE)) as connection:
        connection.sendall(chunk(body[:5]))
        connection.sendall(chunk(body[5:]))
        connection.sendall(chunk(b""))
        response = read_last_response(connection)

    assert response.status_code == 200


@pytest.mark.serial
@pytest.mark.parametrize("sent", [b"", VALID_BODY[:-1]])
def test_server_rejects_a_slow_body_and_closes_the_connection(server: Server, sent: bytes) -> None:
    started = time.monotonic()
    with server.connect(request_head("/echo", LENGTH) + sent) as connection:
        response = read_last_response(connection)
    seconds = time.monotonic() - started

    assert response.status_code == 408
    assert error_in(response) == TOO_SLOW
    assert 0.9 < seconds < 3


def test_server_rejects_a_body_that_arrives_byte_by_byte_for_too_long(server: Server) -> None:
    received = b""
    deadline = time.monotonic() + 5

    with server.connect(request_head("/echo", "Content-Length: 100")) as connection:
        connection.settimeout(0.2)
        while not received and time.monotonic() < deadline:
            connection.sendall(b" ")
            try:
                received = connection.recv(100)
            except TimeoutError:
                continue

    assert received.startswith(b"HTTP/1.1 408 ")


def test_server_answers_a_body_that_arrives_in_pieces_within_its_time(server: Server) -> None:
    with server.connect(request_head("/echo", LENGTH, CLOSE)) as connection:
        for byte in VALID_BODY:
            connection.sendall(bytes([byte]))
            time.sleep(0.01)
        response = read_last_response(connection)

    assert response.status_code == 200
    assert response.json() == {"payload": {"echo": 1}}


def test_server_sends_100_continue_to_a_client_that_expects_it(server: Server) -> None:
    head = request_head("/echo", LENGTH, CLOSE, "Expect: 100-continue")

    with server.connect(head) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(VALID_BODY)
        response = read_last_response(connection)

    assert response.status_code == 200
