"""Headers, and trailers of a chunked body, that have no end: cut at 64 KiB, so that nobody waits for their parsing."""

import http.client
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from clients import INSTANCES, Application, post_head, variants
from conftest import ROOT, free_port
from support.daemon import received, until
from support.figures import Figure, times

TOTAL = times(128, 48) << 20
PIECE = b"a" * (64 << 10)
WITHOUT_END = {
    "a header's value": b"GET /health HTTP/1.1\r\nHost: here\r\nX-Long: ",
    "a header's name": b"GET /health HTTP/1.1\r\nHost: here\r\nX-",
    "an address": b"GET /health?",
    "a trailer": post_head("/m0", "Transfer-Encoding: chunked") + b"1\r\n{\r\n0\r\nX-Long: ",
}


class Seen(NamedTuple):
    """What came of a header without end: the answer's status, bytes sent, the longest that another request took."""

    status: int
    sent: int
    waited: float


def keep_asking(port: int, over: threading.Event, waits: list[float]) -> None:
    """Asks for /health until it is over, and adds the seconds of each answer to `waits`."""
    while not over.is_set():
        started = time.perf_counter()
        other = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        other.request("GET", "/health")
        other.getresponse().read()
        other.close()
        waits.append(time.perf_counter() - started)


def flooded(port: int, begin: bytes) -> Seen:
    """Sends `begin` and then pieces, up to TOTAL bytes, while another client asks for /health."""
    waits: list[float] = []
    over = threading.Event()
    asking = threading.Thread(target=keep_asking, args=(port, over, waits))
    asking.start()
    status = sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        with suppress(ConnectionError):
            connection.sendall(begin)
            while sent < TOTAL:
                connection.sendall(PIECE)
                sent += len(PIECE)
        with suppress(ConnectionError, http.client.HTTPException, TimeoutError):
            connection.settimeout(1)
            status = answer_to(connection).status
    over.set()
    asking.join()
    return Seen(status, sent, max(waits))


def answer_to(connection: socket.socket) -> http.client.HTTPResponse:
    """The answer that comes next."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer


def test_a_header_without_end_is_cut_and_nobody_waits_for_it(
    trained: Path, tmp_path: Path, figure: Figure
) -> None:
    (tmp_path / "models").mkdir()
    variants(trained, tmp_path, "m0")
    with Application(tmp_path, "m0") as daemon:
        workers = daemon.ready().workers()
        seen = {what: flooded(daemon.port, begin) for what, begin in WITHOUT_END.items()}
        after = daemon.ask("POST", "/m0", INSTANCES).status
        assert (after, daemon.workers()) == (200, workers)
    naive = uvicorn_alone()
    sent, waited = max(one.sent for one in seen.values()), max(one.waited for one in seen.values())
    figure(
        f"{len(WITHOUT_END)} kinds of headers without end",
        f"cut after {sent >> 20} MiB at most, most of it unread; another request takes {waited:.2f} s at most",
        f"uvicorn's own protocol: all {naive.sent >> 20} MiB read, another request takes {naive.waited:.1f} s",
    )
    assert {one.status for one in seen.values()} <= {
        431,
        0,
    }  # 0: what was unread made the kernel reset the connection
    assert sent < TOTAL / 2 and naive.sent == TOTAL
    assert waited < naive.waited


def uvicorn_alone() -> Seen:
    """The control: an application on uvicorn, as it comes."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "raw:app",
        "--port",
        str(port),
        "--http",
        "httptools",
        "--log-level",
        "error",
    ]
    with subprocess.Popen(command, cwd=ROOT / "bench/apps/constant") as server:
        until(lambda: answers(port), 30)
        seen = flooded(port, WITHOUT_END["a header's value"])
        server.terminate()
    return seen


def answers(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


@pytest.mark.parametrize("size, status", [(32 << 10, 200), (512 << 10, 431)])
def test_a_long_header_is_taken_and_a_longer_one_named(
    trained: Path, tmp_path: Path, size: int, status: int
) -> None:
    (tmp_path / "models").mkdir()
    variants(trained, tmp_path, "m0")
    with (
        Application(tmp_path, "m0") as daemon,
        socket.create_connection(("127.0.0.1", daemon.ready().port)) as client,
    ):
        client.sendall(b"GET /health HTTP/1.1\r\nHost: here\r\nX-Long: ")
        with suppress(ConnectionError):
            for _ in range(size >> 10):
                client.sendall(b"a" * 1024)
            client.sendall(b"\r\n\r\n")
        answer = answer_to(client)
        assert answer.status == status
        assert status == 200 or b"header_too_large" in answer.read()


def test_a_body_that_nobody_reads_and_many_short_requests_are_no_header(
    trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    variants(trained, tmp_path, "m0")
    with Application(tmp_path, "m0") as daemon:
        connection = daemon.ready().connect()
        for _ in range(3):
            connection.request("PUT", "/m0", b" " * (1 << 20))
            assert received(connection).status == 405  # told before the body has come
            for _ in range(400):
                connection.request("GET", "/health", headers={"X-Long": "a" * 1000})
                assert received(connection).status == 200
            connection.request("POST", "/m0", INSTANCES, {"X-Long": "a" * 60_000})
            assert received(connection).status == 200
        connection.close()
