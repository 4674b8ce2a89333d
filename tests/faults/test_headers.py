"""Headers that never end: rejected at 64 KiB, so that no other request waits."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from support.fault_servers import models_folder, versions_server
from support.figures import Figure, times
from support.models import MODEL_DIRS, example_body
from support.network import connect, read_response, request_head
from support.server import Server
from support.uvicorn_alone import uvicorn_alone

TOTAL_BYTES = times(128, 48) << 20
PIECE = b"a" * (64 << 10)
CONNECTION_SECONDS = 60
OPEN_HEADER = request_head("/health", "X-Long: ", method="GET").rstrip(b"\r\n")
OPEN_NAME = request_head("/health", "X-", method="GET").rstrip(b"\r\n")
OPEN_TRAILER = b"1\r\n{\r\n0\r\nX-Long: "
WITHOUT_END = {
    "a header's value": OPEN_HEADER,
    "a header's name": OPEN_NAME,
    "an address": b"GET /health?",
    "a trailer": request_head("/m0", "Transfer-Encoding: chunked") + OPEN_TRAILER,
}


@pytest.fixture
def server(trained: Path, tmp_path: Path) -> Iterator[Server]:
    """One worker with one model."""
    models_folder(trained, tmp_path, "m0")
    with versions_server(tmp_path, "m0") as running:
        yield running.wait_until_ready()


class Flood(NamedTuple):
    """The outcome of a header that never ends.

    `waited` is the longest wait of another request in seconds.
    """

    status: int
    sent: int
    waited: float


class OtherClient:
    """A client that gets /health in a loop; `longest` is its longest wait in seconds."""

    def __init__(self, port: int):
        self.port = port
        self.longest = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "OtherClient":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        data = request_head("/health", method="GET")
        while not self._is_over.is_set():
            started = time.perf_counter()
            with connect(self.port, data, CONNECTION_SECONDS) as connection:
                read_response(connection)
            self.longest = max(self.longest, time.perf_counter() - started)


def status_of(connection: socket.socket) -> int:
    """Return the status of the response on a connection; 0 if there is none."""
    connection.settimeout(1)
    with suppress(ConnectionError, http.client.HTTPException, TimeoutError):
        return read_response(connection).status_code
    return 0


def flood(port: int, beginning: bytes) -> Flood:
    """Send `beginning` and pieces without end while another client gets /health."""
    sent = 0
    with (
        OtherClient(port) as other,
        connect(port, seconds=CONNECTION_SECONDS) as connection,
    ):
        with suppress(ConnectionError):
            connection.sendall(beginning)
            while sent < TOTAL_BYTES:
                connection.sendall(PIECE)
                sent += len(PIECE)
        status = status_of(connection)
    return Flood(status, sent, other.longest)


@pytest.mark.serial
def test_a_header_without_end_is_cut_and_no_request_waits_for_it(
    server: Server, figure: Figure
) -> None:
    workers = server.worker_pids()
    floods = [flood(server.port, beginning) for beginning in WITHOUT_END.values()]
    after = server.post("/m0", example_body(MODEL_DIRS[0]))
    assert after.status_code == 200
    assert server.worker_pids() == workers

    with uvicorn_alone() as port:
        naive = flood(port, OPEN_HEADER)

    sent = max(one.sent for one in floods)
    waited = max(one.waited for one in floods)
    figure(
        f"{len(WITHOUT_END)} kinds of headers without end",
        f"cut after {sent >> 20} MiB at most, most of it unread; "
        f"another request takes {waited:.2f} s at most",
        f"uvicorn's own protocol: all {naive.sent >> 20} MiB read, "
        f"another request takes {naive.waited:.1f} s",
    )
    # 0: the bytes that the server left unread made the kernel reset the connection.
    assert {one.status for one in floods} <= {431, 0}
    assert sent < TOTAL_BYTES / 2
    assert naive.sent == TOTAL_BYTES
    assert waited < naive.waited


@pytest.mark.parametrize("size, status", [(32 << 10, 200), (512 << 10, 431)])
def test_a_long_header_is_taken_and_a_longer_one_named(
    server: Server, size: int, status: int
) -> None:
    with connect(server.port, OPEN_HEADER) as connection:
        with suppress(ConnectionError):
            for _ in range(size >> 10):
                connection.sendall(b"a" * 1024)
            connection.sendall(b"\r\n\r\n")
        response = read_response(connection)

    assert response.status_code == status
    if status == 431:
        assert response.json()["error"]["code"] == "header_too_large"


def test_an_unread_body_and_many_short_requests_are_no_long_header(server: Server) -> None:
    body = example_body(MODEL_DIRS[0])
    url = server.url
    with server.session() as session:
        for _ in range(3):
            # The server answers before it has read the body.
            assert session.put(f"{url}/m0", data=b" " * (1 << 20)).status_code == 405

            for _ in range(400):
                short = session.get(f"{url}/health", headers={"X-Long": "a" * 1000})
                assert short.status_code == 200

            long = session.post(f"{url}/m0", data=body, headers={"X-Long": "a" * 60_000})
            assert long.status_code == 200
