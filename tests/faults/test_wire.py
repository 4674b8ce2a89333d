"""Bytes that are no sound HTTP: whatever comes, the server answers or closes in time, and goes on serving others."""

import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from clients import Application, Naive, complete, variants
from conftest import free_port
from support.daemon import Daemon, until
from support.figures import Figure, times
from wire import CASES, Case

IDLE_SECONDS = 0.3
HANG_SECONDS = 5


@pytest.fixture(scope="module")
def daemon(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Two workers, and a second for a body."""
    directory = tmp_path_factory.mktemp("wire")
    (directory / "models").mkdir()
    variants(trained, directory, "m0")
    with Application(directory, "echo", "m0", WORKERS="2", BODY_SECONDS="1") as running:
        yield complete(running)


class Seen(NamedTuple):
    """What came back, whether the server closed, after how long."""

    received: bytes
    closed: bool
    seconds: float

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"HTTP/1\.[01] ([2-5]\d\d) ", self.received)]


def sent(daemon: Daemon, case: Case) -> Seen:
    """Sends bytes on a connection of their own; reads until the server closes, has answered and waits, or hangs."""
    began, received = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=HANG_SECONDS) as connection:
        try:
            connection.sendall(case.data)
            while time.monotonic() - began < HANG_SECONDS:
                connection.settimeout(IDLE_SECONDS if received else 1.5)
                piece = connection.recv(1 << 16)
                if not piece:
                    return Seen(received, True, time.monotonic() - began)
                received += piece
        except TimeoutError:
            return Seen(received, False, time.monotonic() - began)
        except OSError:
            return Seen(received, True, time.monotonic() - began)
    return Seen(received, False, HANG_SECONDS)


def wrong(case: Case, seen: Seen) -> str:
    """What is wrong with an answer; empty if nothing is."""
    if seen.seconds >= HANG_SECONDS:
        return "hangs"
    if any(status >= 500 and status != 501 for status in seen.statuses):
        return f"a failure of ours: {seen.statuses}"
    if len(seen.statuses) > case.most:
        return f"{len(seen.statuses)} answers to {case.most}"
    return "tells of the inside" if re.search(rb"Traceback|<html|\.py\b", seen.received) else ""


def tried_on(daemon: Daemon, case: Case) -> tuple[str, str]:
    """What came of a case, and what is wrong with that."""
    seen = sent(daemon, case)
    kind = (
        "refused or answered" if seen.statuses else "closed" if seen.closed else "waited for more"
    )
    return kind, wrong(case, seen) or (
        "" if daemon.status("/health") == 200 else "the server is gone"
    )


def test_no_bytes_harm_the_server(daemon: Daemon, figure: Figure) -> None:
    workers = daemon.workers()
    with ThreadPoolExecutor(12) as pool:
        tried = dict(zip(CASES, pool.map(lambda case: tried_on(daemon, case), CASES)))
    kinds = Counter(kind for kind, _ in tried.values())
    problems = {case.what: problem for case, (_, problem) in tried.items() if problem}
    figure(
        f"{len(CASES)} invalid requests as bytes",
        f"{', '.join(f'{count} {kind}' for kind, count in kinds.items())}; {len(problems)} wrong; "
        "the server answers after each",
        flasks_own(),
    )
    assert problems == {}
    assert (daemon.workers(), "Traceback" in daemon.said) == (workers, False)


def flasks_own() -> str:
    """The control: how Flask's own server fares with the same bytes."""
    port = str(free_port())
    with Naive(Path.cwd(), "pool", PORT=port) as server:
        until(lambda: server.status("/work") == 405, 60)
        problems = Counter(wrong(case, sent(server, case)) for case in CASES[:: times(1, 6)])
    failed = problems.total() - problems[""]
    assert failed > 0
    return (
        f"Flask's own server: {failed} of {problems.total()} fail, hang or are answered with HTML"
    )
