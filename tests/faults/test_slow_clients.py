"""Clients that never finish a request: closed in time, without delaying others."""

import json
import select
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest
import requests
from support.applications import routes, write_application
from support.commands import wait_until
from support.fault_servers import naive_server
from support.figures import Figure, times
from support.load import closed_loop, p99
from support.models import MODEL_DIRS, example_body
from support.network import read_response, request_bytes, request_head
from support.server import PATHS, ROUTES, Server

MODEL = MODEL_DIRS[0]
PATH = PATHS[MODEL]
MANY = 200
# HEADER_SECONDS and BODY_SECONDS.
LIMIT = times(10, 3)
# The processes that load the server start within the remaining time.
LOAD_SECONDS = LIMIT - 2
# Other processes can slow down the few seconds of a quick run.
NOISE_SECONDS = times(0, 1) * 0.02
GET_HEALTH = request_head("/health", method="GET")
POST_HEALTH = request_head("/health", "Content-Length: 10000")
POST_MODEL = request_head(PATH, "Content-Type: application/json", "Content-Length: 10000")
OPEN_HEADER = request_head(PATH, "X-Slow: ").rstrip(b"\r\n")
# The bytes that each kind sends first, and the byte that it repeats afterwards.
KINDS = {
    "header": (OPEN_HEADER, b"x"),
    "body": (POST_MODEL, b" "),
    "body that nobody reads": (POST_HEALTH, b" "),
    "nothing": (b"", b""),
    "next header": (GET_HEALTH + OPEN_HEADER, b"x"),
}


class SlowClients:
    """Connections of each kind. Each connection sends one byte per second.

    `cut` contains the seconds after which the server closed each connection.
    """

    def __init__(self, port: int, *kinds: str, many: int = MANY):
        self.started = time.monotonic()
        self.cut: dict[socket.socket, float] = {}
        self.bytes: dict[socket.socket, bytes] = {}
        for kind in kinds:
            beginning, byte = KINDS[kind]
            for _ in range(many):
                connection = socket.create_connection(("127.0.0.1", port))
                connection.sendall(beginning)
                self.bytes[connection] = byte

        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        for connection in self.bytes:
            connection.close()

    def _run(self) -> None:
        """Send a byte on a tenth of the connections, ten times a second."""
        while not self._is_over.wait(0.1):
            open_ones = [connection for connection in self.bytes if connection not in self.cut]
            tenth = int((time.monotonic() - self.started) * 10) % 10
            for connection in open_ones[tenth::10]:
                with suppress(OSError):
                    connection.send(self.bytes[connection])
            self._note_cut(open_ones)

    def _note_cut(self, open_ones: list[socket.socket]) -> None:
        """Keep the time of those that the server has closed; read the others' responses."""
        poll = select.poll()
        for connection in open_ones:
            poll.register(connection, select.POLLIN)
        readable = {number for number, _ in poll.poll(0)}

        for connection in open_ones:
            if connection.fileno() in readable and is_closed(connection):
                self.cut[connection] = time.monotonic() - self.started


def is_closed(connection: socket.socket) -> bool:
    """Return whether the server has closed a readable connection."""
    try:
        return not connection.recv(10_000)
    except OSError:
        return True


@pytest.mark.serial
def test_slow_clients_are_cut_in_time_and_others_are_not_slowed(
    trained: Path, figure: Figure
) -> None:
    limits = {"HEADER_SECONDS": str(LIMIT), "BODY_SECONDS": str(LIMIT)}
    data = request_bytes("POST", PATH, example_body(MODEL))
    with Server(trained, ROUTES[MODEL], **limits) as server:
        port = server.wait_until_ready().port
        closed_loop(port, data, 4, 1)
        before = closed_loop(port, data, 4, LOAD_SECONDS)
        with SlowClients(port, "header", "body") as slow:
            loaded = closed_loop(port, data, 4, LOAD_SECONDS)
            assert slow.cut == {}
            wait_until(lambda: len(slow.cut) == 2 * MANY, 20)
        after = closed_loop(port, data, 4, LOAD_SECONDS)
        assert "Traceback" not in server.output

    assert {outcome.status for outcome in before + loaded + after} == {200}
    longest = max(slow.cut.values())
    usual_p99 = p99(before + after)
    loaded_p99 = p99(loaded)
    figure(
        f"{MANY} slow headers and {MANY} slow bodies at once, four other clients",
        f"p99 {loaded_p99 * 1000:.1f} ms, {loaded_p99 / usual_p99:.2f} of that without them; "
        f"all cut after {longest:.1f} s (limit {LIMIT})",
        sync_worker(trained),
    )
    assert min(slow.cut.values()) > LIMIT - 0.5
    assert longest < LIMIT + 1
    assert loaded_p99 < 2 * usual_p99 + NOISE_SECONDS


def test_every_kind_of_slow_client_is_cut_in_time(trained: Path) -> None:
    limits = {"HEADER_SECONDS": "1", "BODY_SECONDS": "1"}
    with Server(trained, ROUTES[MODEL], **limits) as server:
        with SlowClients(server.wait_until_ready().port, *KINDS, many=3) as slow:
            wait_until(lambda: len(slow.cut) == 3 * len(KINDS), 10)
        assert min(slow.cut.values()) > 0.9
        # The client sends the next byte up to a second later.
        assert max(slow.cut.values()) < 3


def test_no_kind_of_slow_client_is_cut_before_its_time(trained: Path) -> None:
    limits = {"HEADER_SECONDS": "60", "BODY_SECONDS": "60"}
    with Server(trained, ROUTES[MODEL], **limits) as server:
        with SlowClients(server.wait_until_ready().port, *KINDS, many=3) as slow:
            time.sleep(2)
        assert slow.cut == {}


def test_an_idle_kept_connection_and_a_long_answer_are_not_cut(tmp_path: Path) -> None:
    write_application(tmp_path)
    with (
        Server(tmp_path, routes("sleep"), HEADER_SECONDS="1") as server,
        server.wait_until_ready().connect() as connection,
    ):
        for seconds in (0, 1.5):
            body = json.dumps({"payload": seconds}).encode()
            connection.sendall(request_bytes("POST", "/sleep", body))
            assert read_response(connection).json() == {"payload": {"slept": seconds}}
            time.sleep(1.5)

        connection.sendall(GET_HEALTH)
        assert read_response(connection).status_code == 200


def sync_worker(trained: Path) -> str:
    """Let two slow clients block gunicorn's sync worker with the same model."""
    with naive_server(trained, "sync", ROUTES[MODEL]) as server:
        wait_until(lambda: is_answered(server, 20), 30)
        with SlowClients(server.port, "body", many=2):
            time.sleep(0.5)
            assert not is_answered(server, LIMIT)

    return f"gunicorn's sync worker with Flask: two slow bodies, no answer within {LIMIT} s"


def is_answered(server: Server, seconds: float) -> bool:
    """Return whether a server answers a prediction within `seconds`."""
    try:
        response = server.request("POST", PATH, example_body(MODEL), seconds=seconds)
    except requests.RequestException:
        return False
    return response.status_code == 200
