"""Huge bodies: rejected or answered; memory grows by less than twice the limit."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from support.commands import wait_until
from support.fault_servers import models_folder, naive_server, versions_server, write_naive_model
from support.figures import Figure, times
from support.models import MODEL_DIRS, example_body, object_row
from support.network import connect, read_response, request_head
from support.processes import memory_mb, reset_peak_memory
from support.server import Server

LIMIT = 16 << 20
LIMIT_MB = LIMIT / 1e6
GIB = 1 << 30
MANY = 10_000_000
PIECE = b"0" * (1 << 20)
CHUNK = b"%x\r\n%s\r\n" % (len(PIECE), PIECE)
CONNECTION_SECONDS = 60
Send = Callable[[Server], int]


@pytest.fixture
def server(trained: Path, tmp_path: Path) -> Iterator[Server]:
    """One worker with the default limit, which has answered a request."""
    models_folder(trained, tmp_path, "m0")
    with versions_server(tmp_path, "m0") as running:
        running.wait_until_ready().get("/none")
        yield running


def stream(port: int, head: bytes, piece: bytes, count: int) -> int:
    """Send pieces until the server closes the connection; return the status."""
    with connect(port, head, CONNECTION_SECONDS) as connection:
        with suppress(ConnectionError):
            for _ in range(count):
                connection.sendall(piece)
        return read_response(connection).status_code


def send_gibibyte(server: Server) -> int:
    """Send a body of a declared length of 1 GiB."""
    head = request_head("/m0", f"Content-Length: {GIB}")
    return stream(server.port, head, PIECE, GIB // len(PIECE))


def send_chunks(server: Server) -> int:
    """Send chunks of 1 GiB together."""
    head = request_head("/m0", "Transfer-Encoding: chunked")
    return stream(server.port, head, CHUNK, GIB // len(PIECE))


def posts(body: bytes) -> Send:
    """Return a function that posts a body in one piece."""
    return lambda server: server.post("/m0", body).status_code


def posts_row(text: str) -> Send:
    """Return a function that posts a body with one row, `text`."""
    return posts(f'{{"payload": {{"instances": [{text}]}}}}'.encode())


class Case(NamedTuple):
    """A function that sends a huge body, and the expected status."""

    send: Send
    status: int


WIDE_ROW = json.dumps({**object_row(MODEL_DIRS[0]), "x" * MANY: 1})
MANY_KEYS = json.dumps({"payload": {f"k{number}": number for number in range(100_000)}}).encode()
DEEP_LISTS = b'{"payload":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
DEEP_OBJECTS = b'{"payload":' * 100_000 + b"1" + b"}" * 100_000
LONG_KEY = b'{"payload": {"' + b"x" * MANY + b'": 1}}'
EQUAL_KEYS = b'{"payload": {' + b'"a": 1, ' * 1_000_000 + b'"a": 1}}'
HUGE = {
    "1 GiB declared": Case(send_gibibyte, 413),
    "1 GiB in chunks": Case(send_chunks, 413),
    "100,000 lists deep": Case(posts(DEEP_LISTS), 400),
    "100,000 objects deep": Case(posts(DEEP_OBJECTS), 400),
    "an integer of 400 digits": Case(posts_row(f"[{'1' * 400}]"), 422),
    "10 MB of digits": Case(posts_row(f"[{'1' * MANY}]"), 400),
    "10 MB of decimals": Case(posts_row(f"[0.{'1' * MANY}]"), 422),
    "a text of 10 MB": Case(posts_row(f'["{"x" * MANY}"]'), 422),
    "a key of 10 MB": Case(posts(LONG_KEY), 422),
    "a column of 10 MB": Case(posts_row(WIDE_ROW), 422),
    "a million equal keys": Case(posts(EQUAL_KEYS), 422),
    "100,000 keys": Case(posts(MANY_KEYS), 422),
    "16 MiB of spaces": Case(posts(b" " * LIMIT), 400),
}
# Any JSON body within the limit is decoded. Its objects need more memory than its text.
EMPTY_LISTS = b'{"payload":[' + b"[]," * ((LIMIT - 20) // 3) + b"[]]}"


class Cost(NamedTuple):
    """The status of a huge body, and the MB by which the worker grew at its peak."""

    status: int
    megabytes: float


def measure(server: Server, send: Send, before: float) -> Cost:
    """Send a huge body; `before` is the worker's memory before all of them."""
    (worker,) = server.worker_pids()
    # A worker may still hold the body before this one; after another request it doesn't.
    server.get("/health")
    reset_peak_memory(worker)
    status = send(server)
    return Cost(status, memory_mb(worker, "VmHWM") - before)


def test_huge_bodies_are_rejected_within_bounded_memory(
    server: Server, figure: Figure, tmp_path: Path
) -> None:
    workers = server.worker_pids()
    before = memory_mb(workers[0])
    costs = {name: measure(server, case.send, before) for name, case in HUGE.items()}
    empty_lists = measure(server, posts(EMPTY_LISTS), before)

    costliest = max(costs, key=lambda name: costs[name].megabytes)
    most = costs[costliest].megabytes
    figure(
        f"{len(HUGE)} huge bodies, limit 16 MiB",
        f"413, 400 or 422; memory +{most:.0f} MB at most ({costliest}); "
        f"16 MiB of empty lists: {empty_lists.status}, +{empty_lists.megabytes:.0f} MB",
        naive_handler(tmp_path),
    )
    expected = {name: case.status for name, case in HUGE.items()}
    assert {name: cost.status for name, cost in costs.items()} == expected
    # The growing body may be copied once, and the decoder may copy a text.
    assert most < 3 * LIMIT_MB
    assert empty_lists.status == 422
    assert server.worker_pids() == workers
    assert server.post("/m0", example_body(MODEL_DIRS[0])).status_code == 200


def naive_handler(directory: Path) -> str:
    """Send a body in pieces to Flask, and check that it reads all of it."""
    mebibytes = times(256, 128)
    length = f"Content-Length: {mebibytes * len(PIECE)}"
    head = request_head("/predict", "Content-Type: application/json", length)

    write_naive_model(directory)
    with naive_server(directory, "document") as server:
        wait_until(lambda: server.status("/predict") == 405, 60)
        assert server.post("/predict", b"[]").status_code == 500
        pid = server.process.pid
        before = memory_mb(pid)
        reset_peak_memory(pid)
        stream(server.port, head, PIECE, mebibytes)
        more = memory_mb(pid, "VmHWM") - before

    assert more > 2 * LIMIT_MB
    return f"Flask: {mebibytes} MiB are read, memory +{more:.0f} MB"
