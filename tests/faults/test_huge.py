"""Huge bodies: refused, or read and answered, while the server's memory grows by less than twice the limit."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from bodies import OBJECT
from clients import INSTANCES, Application, Naive, memory, post_head, reset_peak, variants
from conftest import ROOT
from naive import FILE, train
from support.daemon import JSON, Daemon, until
from support.figures import Figure, times

LIMIT = 16 << 20
GIB = 1 << 30
PIECE = 1 << 20
Send = Callable[[Daemon], int]


@pytest.fixture
def daemon(trained: Path, tmp_path: Path) -> Iterator[Daemon]:
    """One worker with the usual limit."""
    (tmp_path / "models").mkdir()
    variants(trained, tmp_path, "m0")
    with Application(tmp_path, "m0") as running:
        running.ready().ask("GET", "/none")
        yield running


def streamed(
    daemon: Daemon, head: str, before: bytes, after: bytes, total: int = GIB, path: str = "/m0"
) -> int:
    """Sends zeros, piece by piece, until there is an answer or `total` is sent; the answer's status."""
    piece = before + b"0" * PIECE + after
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=60) as connection:
        connection.sendall(post_head(path, head))
        with suppress(ConnectionError):
            for _ in range(total // PIECE):
                connection.sendall(piece)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status


def posted(body: bytes) -> Send:
    """Posts a body whole."""
    return lambda daemon: daemon.ask("POST", "/m0", body).status


def row(text: str) -> Send:
    """Posts a body whose one row is `text`."""
    return posted(f'{{"payload": {{"instances": [{text}]}}}}'.encode())


def chunk_head() -> bytes:
    return b"%x\r\n" % PIECE


HUGE: dict[str, tuple[Send, int]] = {
    "1 GiB declared": (lambda daemon: streamed(daemon, f"Content-Length: {GIB}", b"", b""), 413),
    "1 GiB in chunks": (
        lambda daemon: streamed(daemon, "Transfer-Encoding: chunked", chunk_head(), b"\r\n"),
        413,
    ),
    "100,000 lists deep": (posted(b'{"payload":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), 400),
    "100,000 objects deep": (posted(b'{"payload":' * 100_000 + b"1" + b"}" * 100_000), 400),
    "an integer of 400 digits": (row(f"[{'1' * 400}]"), 422),
    "10 MB of digits": (row(f"[{'1' * 10_000_000}]"), 400),
    "10 MB of decimals": (row(f"[0.{'1' * 10_000_000}]"), 422),
    "a text of 10 MB": (row(f'["{"x" * 10_000_000}"]'), 422),
    "a key of 10 MB": (posted(b'{"payload": {"' + b"x" * 10_000_000 + b'": 1}}'), 422),
    "a column of 10 MB": (row(json.dumps({**OBJECT, "x" * 10_000_000: 1})), 422),
    "a million equal keys": (posted(b'{"payload": {' + b'"a": 1, ' * 1_000_000 + b'"a": 1}}'), 422),
    "100,000 keys": (
        posted(json.dumps({"payload": {f"k{i}": i for i in range(100_000)}}).encode()),
        422,
    ),
    "16 MiB of spaces": (posted(b" " * LIMIT), 400),
}
# A body within the limit may be any JSON, and its objects take more room than its text.
WORST = b'{"payload":[' + b"[]," * ((LIMIT - 20) // 3) + b"[]]}"


def grown(daemon: Daemon, send: Send, before: float) -> tuple[int, float]:
    """The status, and the MB by which the worker's memory was above `before` at its highest."""
    (worker,) = daemon.workers()
    reset_peak(worker)
    status = send(daemon)
    return status, memory(worker, "VmHWM") - before


def test_huge_bodies_are_refused_within_bounded_memory(
    daemon: Daemon, figure: Figure, tmp_path: Path
) -> None:
    workers = daemon.workers()
    before = memory(workers[0])
    seen = {what: grown(daemon, send, before) for what, (send, _) in HUGE.items()}
    worst, cost = grown(daemon, posted(WORST), before)
    highest = max(seen, key=lambda what: seen[what][1])
    figure(
        f"{len(HUGE)} huge bodies, limit 16 MiB",
        f"413, 400 or 422; memory +{seen[highest][1]:.0f} MB at most ({highest}); "
        f"16 MiB of empty lists: {worst}, +{cost:.0f} MB",
        read_whole(tmp_path),
    )
    assert {what: status for what, (status, _) in seen.items()} == {
        what: wanted for what, (_, wanted) in HUGE.items()
    }
    assert max(more for _, more in seen.values()) < 2 * LIMIT / 1e6
    assert (worst, daemon.workers(), daemon.ask("POST", "/m0", INSTANCES).status) == (
        422,
        workers,
        200,
    )


def read_whole(directory: Path) -> str:
    """The control: Flask reads whatever comes."""
    total = times(256, 128) * PIECE
    (directory / "data").symlink_to(ROOT / "data")
    (directory / FILE).write_bytes(train())
    with Naive(directory, "document") as server:
        until(lambda: server.status("/predict") == 405, 60)
        assert server.ask("POST", "/predict", b"[]", JSON).status == 500
        before = memory(server.process.pid)
        reset_peak(server.process.pid)
        streamed(
            server,
            f"Content-Type: application/json\r\nContent-Length: {total}",
            b"",
            b"",
            total,
            "/predict",
        )
        more = memory(server.process.pid, "VmHWM") - before
    assert more > 2 * LIMIT / 1e6
    return f"Flask: {total >> 20} MiB are read, memory +{more:.0f} MB"
