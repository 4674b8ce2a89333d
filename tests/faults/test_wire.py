"""Bytes that are not valid HTTP: the server answers or closes in time."""

import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from support.commands import wait_until
from support.fault_servers import models_folder, naive_server, versions_server
from support.figures import Figure, times
from support.malformed_requests import CASES, Case
from support.network import free_port
from support.server import Server

FIRST_BYTE_SECONDS = 1.5
IDLE_SECONDS = 0.3
HANG_SECONDS = 5
INTERNALS = re.compile(rb"Traceback|<html|\.py\b")


@pytest.fixture(scope="module")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers that wait a second for a body."""
    directory = tmp_path_factory.mktemp("wire")
    models_folder(trained, directory, "m0")
    variables = {"WORKERS": "2", "BODY_SECONDS": "1"}
    with versions_server(directory, "m0", functions=("echo",), **variables) as running:
        yield running.wait_until_ready(workers=2)


class Result(NamedTuple):
    """The bytes that the server sent, and whether and when it closed the connection."""

    received: bytes
    is_closed: bool
    seconds: float

    @property
    def statuses(self) -> list[int]:
        """The statuses of all responses."""
        found = re.findall(rb"HTTP/1\.[01] ([2-5]\d\d) ", self.received)
        return [int(status) for status in found]

    @property
    def kind(self) -> str:
        """The reaction of the server in words."""
        if self.statuses:
            return "refused or answered"
        return "closed" if self.is_closed else "waited for more"


def send(server: Server, case: Case) -> Result:
    """Send bytes and read until the server closes, or has answered and waits.

    A server that does neither for HANG_SECONDS hangs.
    """
    started = time.monotonic()
    received = b""
    is_closed = False

    with socket.create_connection(("127.0.0.1", server.port), timeout=HANG_SECONDS) as connection:
        try:
            connection.sendall(case.data)
            while not is_closed and time.monotonic() - started < HANG_SECONDS:
                connection.settimeout(IDLE_SECONDS if received else FIRST_BYTE_SECONDS)
                piece = connection.recv(1 << 16)
                received += piece
                is_closed = not piece
        except TimeoutError:
            pass
        except OSError:
            is_closed = True

    return Result(received, is_closed, time.monotonic() - started)


def problem(case: Case, result: Result) -> str:
    """Return the fault of a result, or an empty text."""
    # Python's own servers answer 501 to methods that they don't know.
    failures = [status for status in result.statuses if status >= 500 and status != 501]
    if result.seconds >= HANG_SECONDS:
        return "hangs"
    if failures:
        return f"fails: {failures}"
    if len(result.statuses) > case.most:
        return f"{len(result.statuses)} responses to {case.most}"
    if INTERNALS.search(result.received):
        return "shows internals"
    return ""


def try_case(server: Server, case: Case) -> tuple[str, str]:
    """Return the reaction of the server, and its fault."""
    result = send(server, case)
    wrong = problem(case, result)
    if not wrong and server.status("/health") != 200:
        wrong = "the server is gone"
    return result.kind, wrong


def test_no_bytes_harm_the_server(server: Server, figure: Figure) -> None:
    workers = server.worker_pids()
    with ThreadPoolExecutor(12) as pool:
        results = list(pool.map(lambda case: try_case(server, case), CASES))

    kinds = Counter(kind for kind, _ in results)
    problems = [(case.name, wrong) for case, (_, wrong) in zip(CASES, results) if wrong]
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    figure(
        f"{len(CASES)} invalid requests as bytes",
        f"{counts}; {len(problems)} wrong; the server answers after each",
        flasks_own_server(),
    )
    assert problems == []
    assert server.worker_pids() == workers
    assert "Traceback" not in server.output


def flasks_own_server() -> str:
    """Send the same bytes to Flask's own server, and check that it fails."""
    cases = CASES[:: times(1, 6)]
    with naive_server(Path.cwd(), "pool", PORT=str(free_port())) as server:
        wait_until(lambda: server.status("/work") == 405, 60)
        failed = sum(problem(case, send(server, case)) != "" for case in cases)

    assert failed > 0
    return f"Flask's own server: {failed} of {len(cases)} fail, hang or are answered with HTML"
