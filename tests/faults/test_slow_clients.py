"""Clients that never finish their header or their body: others don't notice them, and they are cut in time."""

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from conftest import free_port
from support.daemon import MODEL_DIRS, PATHS, ROUTES, Daemon, instances, until
from support.figures import Figure, times
from traffic import closed_loop, p99, request

MODEL = MODEL_DIRS[0]
MANY = 200
LIMIT = times(10, 3)  # HEADER_SECONDS and BODY_SECONDS
HEADER = (
    f"POST {PATHS[MODEL]} HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n".encode()
)
# What each form sends at once, and what it sends then, byte after byte.
FORMS = {
    "header": (HEADER + b"X-Slow: ", b"x"),
    "body": (HEADER + b"Content-Length: 10000\r\n\r\n", b" "),
    "body that nobody reads": (
        b"POST /health HTTP/1.1\r\nHost: here\r\nContent-Length: 10000\r\n\r\n",
        b" ",
    ),
    "nothing": (b"", b""),
    "next header": (b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n" + HEADER, b"x"),
}
NAIVE = """
import flask, importlib, types
module, function = {target!r}.split(":")
predict = getattr(importlib.import_module(module), function)
app = flask.Flask("naive")

@app.post({path!r})
def answer():
    return {{"payload": predict(types.SimpleNamespace(payload=flask.request.get_json()["payload"]))}}
"""


class Slow:
    """`MANY` connections of each form, each of which sends a byte a second; the seconds after which each was cut."""

    def __init__(self, port: int, *forms: str, many: int = MANY):
        self.started = time.monotonic()
        self.cut: dict[socket.socket, float] = {}
        self.open = {
            socket.create_connection(("127.0.0.1", port)): FORMS[form]
            for form in forms
            for _ in range(many)
        }
        for connection, (first, _) in self.open.items():
            connection.sendall(first)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._trickle)
        self._thread.start()

    def _trickle(self) -> None:
        while not self._ended.wait(0.1):
            left = [connection for connection in self.open if connection not in self.cut]
            turn = time.monotonic() - self.started
            for connection in left[int(turn * 10) % 10 :: 10]:
                with suppress(OSError):
                    connection.send(self.open[connection][1])
            self._look(left)

    def _look(self, left: list[socket.socket]) -> None:
        poll = select.poll()
        for connection in left:
            poll.register(connection, select.POLLIN)
        ready = {number for number, _ in poll.poll(0)}
        for connection in (connection for connection in left if connection.fileno() in ready):
            with suppress(OSError):
                if connection.recv(10_000):
                    continue
            self.cut[connection] = time.monotonic() - self.started

    def __enter__(self) -> "Slow":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for connection in self.open:
            connection.close()


def test_slow_clients_are_cut_in_time_and_others_do_not_notice(
    trained: Path, figure: Figure
) -> None:
    limits = {"HEADER_SECONDS": str(LIMIT), "BODY_SECONDS": str(LIMIT)}
    sent, seconds = request("POST", PATHS[MODEL], instances(MODEL)), LIMIT * 0.8
    with Daemon(trained, ROUTES[MODEL], **limits) as daemon:
        port = daemon.ready().port
        closed_loop(port, sent, 4, 1)
        alone = closed_loop(port, sent, 4, seconds)
        with Slow(port, "header", "body") as slow:
            beside = closed_loop(port, sent, 4, seconds)
            assert slow.cut == {}
            until(lambda: len(slow.cut) == 2 * MANY, 20)
        again = closed_loop(port, sent, 4, seconds)
        assert {reply.status for reply in alone + beside + again} == {200}
        assert "Traceback" not in daemon.said
    assert min(slow.cut.values()) > LIMIT - 0.5 and max(slow.cut.values()) < LIMIT + 1
    usual = p99(alone + again)
    assert p99(beside) < 2 * usual + times(0, 1) * 0.02
    figure(
        f"{MANY} slow headers and {MANY} slow bodies at once, four clients beside them",
        f"p99 {p99(beside) * 1000:.1f} ms, {p99(beside) / usual:.2f} of that without them; "
        f"all cut after {max(slow.cut.values()):.1f} s (limit {LIMIT})",
        f"gunicorn's sync worker with Flask: two slow bodies, no answer within {naive(trained)} s",
    )


def test_every_kind_of_slow_client_is_cut_in_time(trained: Path) -> None:
    with Daemon(trained, ROUTES[MODEL], HEADER_SECONDS="1", BODY_SECONDS="1") as daemon:
        with Slow(daemon.ready().port, *FORMS, many=3) as slow:
            until(lambda: len(slow.cut) == 3 * len(FORMS), 10)
        assert (
            min(slow.cut.values()) > 0.9 and max(slow.cut.values()) < 3
        )  # a second until the next byte
    with Daemon(trained, ROUTES[MODEL], HEADER_SECONDS="60", BODY_SECONDS="60") as daemon:
        with Slow(daemon.ready().port, *FORMS, many=3) as slow:
            time.sleep(2)
        assert slow.cut == {}


def test_an_idle_kept_connection_and_a_long_answer_are_not_cut(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import time\n\ndef sleep(msg):\n    time.sleep(msg.payload)\n    return {}\n"
    )
    with Daemon(tmp_path, "sleep:app:sleep", HEADER_SECONDS="1") as daemon:
        connection = daemon.ready().connect()
        for seconds in (0, 1.5):
            connection.request("POST", "/sleep", json.dumps({"payload": seconds}).encode())
            assert connection.getresponse().read() == b'{"payload":{}}'
            time.sleep(1.5)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        connection.close()


@contextmanager
def naive_server(trained: Path) -> Iterator[int]:
    """The same model behind Flask, under gunicorn with one sync worker; its port."""
    _, module, function = ROUTES[MODEL].split(":")
    (trained / "naive.py").write_text(
        NAIVE.format(path=PATHS[MODEL], target=f"{module}:{function}")
    )
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "naive:app",
        "--bind",
        f"127.0.0.1:{port}",
        "--no-control-socket",
    ]
    env = {**os.environ, "PYTHONPATH": f"{os.getcwd()}:{os.getcwd()}/builders"}
    process = subprocess.Popen(command, cwd=trained, env=env, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answered(port, 20), 30)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def answered(port: int, seconds: float) -> bool:
    """Whether a server answers a prediction with 200 within `seconds`."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), seconds) as connection:
        connection.sendall(request("POST", PATHS[MODEL], instances(MODEL)))
        return connection.recv(100).startswith(b"HTTP/1.1 200 ")
    return False


def naive(trained: Path) -> int:
    """Seconds for which the naive server, which has answered, answers nobody beside two slow clients."""
    with naive_server(trained) as port, Slow(port, "body", many=2):
        time.sleep(0.5)
        assert not answered(port, LIMIT)
    return LIMIT
