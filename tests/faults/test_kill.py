"""kill -9 of a worker, the parent or all: lost requests, time to the next answer."""

import os
import signal
import statistics
import time
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from support.applications import routes
from support.commands import wait_until
from support.fault_servers import models_folder, naive_server, versions_server
from support.figures import Figure, times
from support.load import REFUSED, Load
from support.models import MODEL_DIRS, example_body
from support.network import free_port
from support.server import Server

KILLS = times(20, 3)
RESTARTS = times(10, 2)
MODELS = ("m0", "m1", "m2")
BODY = example_body(MODEL_DIRS[0])
WORK = b'{"payload": 0.01}'
LISTENING = "0A"


@pytest.fixture
def directory(trained: Path, tmp_path: Path) -> Path:
    """A folder with three models."""
    models_folder(trained, tmp_path, *MODELS)
    return tmp_path


def answering_pid(response: requests.Response) -> int:
    """Return the process id that a response names."""
    pid: int = response.json()["payload"]["pid"]
    return pid


def replace_worker(server: Server, victim: int) -> float:
    """Kill a worker; return the seconds until its successor has answered."""
    before = server.worker_pids()
    started = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: answering_pid(server.post("/m0", BODY)) not in before, 10)
    return time.monotonic() - started


@pytest.mark.serial
def test_a_killed_worker_takes_only_its_own_requests_with_it(
    directory: Path, figure: Figure
) -> None:
    seconds = []
    victims = []
    with versions_server(directory, *MODELS, WORKERS="2") as server:
        server.wait_until_ready(workers=2)
        with Load(server.port, ["/m0"], BODY) as load:
            for _ in range(KILLS):
                time.sleep(0.5)
                victim = server.worker_pids()[0]
                victims.append(victim)
                seconds.append(replace_worker(server, victim))
            assert server.process.poll() is None
            assert server.status() == 200

    lost = [outcome for outcome in load.outcomes if outcome.status != 200]
    # A connection that was lost before its first answer has no known worker.
    of_others = [outcome for outcome in lost if outcome.worker not in (*victims, 0)]
    figure(
        f"kill -9 of a worker, 64 clients, {KILLS} times",
        f"{load.count(200):,} answered; "
        f"lost: {len(lost)} of the killed's own, {len(of_others)} of others; "
        f"another answers after {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s",
        pool_that_breaks(directory),
    )
    assert of_others == []
    assert load.count(REFUSED) == 0
    assert len(lost) <= 64 * KILLS
    assert max(seconds) < 3


def pool_that_breaks(directory: Path) -> str:
    """Kill a process of a Flask app's pool, and check that the app fails afterwards."""
    with naive_server(directory, "pool") as server:
        wait_until(lambda: server.status("/work") == 405, 30)
        assert server.post("/work", WORK).status_code == 200

        os.kill(answering_pid(server.post("/work", WORK)), signal.SIGKILL)
        time.sleep(2)
        statuses = [server.post("/work", WORK).status_code for _ in range(20)]

    failed = statuses.count(500)
    assert failed == 20
    return f"Flask over a ProcessPoolExecutor: {failed} of 20 requests fail 2 s later"


@pytest.fixture
def port() -> int:
    """A port for servers that start one after the other."""
    return free_port()


def has_listener(port: int) -> bool:
    """Return whether a process listens on a port, without opening a connection."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, address, _, state, *_ = line.split()
        if address.endswith(f":{port:04X}") and state == LISTENING:
            return True
    return False


def group_leader(directory: Path, port: int) -> Server:
    """Return a ready server that is the leader of its own process group."""
    variables = {"WORKERS": "2", "PORT": str(port)}
    server = versions_server(directory, *MODELS, prefix=("setsid",), **variables)
    return server.wait_until_ready()


def test_a_server_whose_processes_are_all_killed_starts_again_on_its_port(
    directory: Path, figure: Figure, port: int
) -> None:
    seconds = []
    for _ in range(RESTARTS):
        with group_leader(directory, port) as server:
            os.killpg(server.process.pid, signal.SIGKILL)
            server.wait()
        wait_until(lambda: not has_listener(port), 1)

        started = time.monotonic()
        with group_leader(directory, port):
            seconds.append(time.monotonic() - started)

    figure(
        f"kill -9 of the process group, {RESTARTS} times",
        f"ready again after {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s",
    )
    assert max(seconds) < 15


def kill_parent(server: Server, port: int, most: float) -> float:
    """Kill a server's parent; return the seconds until its port is free, or `most`.

    Leaves no worker behind.
    """
    workers = server.worker_pids()
    server.process.kill()
    server.wait()

    started = time.monotonic()
    while has_listener(port) and time.monotonic() - started < most:
        time.sleep(0.02)
    seconds = time.monotonic() - started

    if has_listener(port):
        for pid in workers:
            # A worker may have ended by itself.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    return seconds


def test_workers_leave_the_port_once_their_parent_is_killed(
    directory: Path, figure: Figure, port: int
) -> None:
    seconds = []
    for _ in range(RESTARTS):
        with group_leader(directory, port) as server:
            seconds.append(kill_parent(server, port, 10))

    entries = routes(*MODELS, module="versions")
    with naive_server(directory, "stock", entries, WORKERS="2", PORT=str(port)) as server:
        control = kill_parent(server.wait_until_ready(), port, 6)

    figure(
        f"kill -9 of the parent alone, {RESTARTS} times",
        f"port free after {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s",
        f"gunicorn with uvicorn's worker: taken after {control:.0f} s",
    )
    assert max(seconds) < 5 < control
