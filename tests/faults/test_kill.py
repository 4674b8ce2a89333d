"""kill -9 of a worker under load, of the parent, of all: what is lost, how soon another answers, what stays behind."""

import os
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from clients import INSTANCES, Application, Load, Naive, complete, variants
from conftest import free_port
from support.daemon import JSON, Daemon, until
from support.figures import Figure, times

KILLS = times(20, 3)
RESTARTS = times(10, 2)
MODELS = ("m0", "m1", "m2")
WORK = b'{"payload": 0.01}'


@pytest.fixture
def directory(trained: Path, tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    for name in MODELS:
        variants(trained, tmp_path, name)
    return tmp_path


def replaced(daemon: Daemon, victim: int) -> float:
    """Kills a worker; seconds until its successor has answered a prediction."""
    before = daemon.workers()
    killed = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    until(lambda: daemon.ask("POST", "/m0", INSTANCES).json["payload"]["pid"] not in before, 10)
    return time.monotonic() - killed


def test_a_killed_worker_takes_only_its_own_requests_with_it(
    directory: Path, figure: Figure
) -> None:
    seconds, victims = [], []
    served = Application(directory, *MODELS, WORKERS="2")
    with served as daemon, Load(complete(daemon).port, ["/m0"], INSTANCES) as load:
        for _ in range(KILLS):
            time.sleep(0.5)
            victims.append(daemon.workers()[0])
            seconds.append(replaced(daemon, victims[-1]))
        assert daemon.process.poll() is None and daemon.status() == 200
    lost = [outcome for outcome in load.outcomes if outcome.status != 200]
    strangers = [outcome for outcome in lost if outcome.worker not in (*victims, 0)]
    figure(
        f"kill -9 of a worker, 64 clients, {KILLS} times",
        f"{load.count(200):,} answered; lost: {len(lost)} of the killed's own, {len(strangers)} of others; "
        f"another answers after {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s",
        pool_that_breaks(directory),
    )
    assert (strangers, load.count(-1)) == ([], 0)
    assert len(lost) <= 64 * KILLS and max(seconds) < 3


def pool_that_breaks(directory: Path) -> str:
    """The control: what a Flask app over a pool of processes answers once one of these is killed."""
    with Naive(directory, "pool") as daemon:
        until(lambda: daemon.status("/work") == 405, 30)
        assert daemon.ask("POST", "/work", WORK, JSON).status == 200
        os.kill(daemon.ask("POST", "/work", WORK, JSON).json["payload"]["pid"], signal.SIGKILL)
        time.sleep(2)
        failed = [daemon.ask("POST", "/work", WORK, JSON).status for _ in range(20)].count(500)
    assert failed == 20
    return f"Flask over a ProcessPoolExecutor: {failed} of 20 requests fail 2 s later"


@pytest.fixture
def port() -> Iterator[str]:
    yield str(free_port())


def listening(port: str) -> bool:
    """Whether some process listens on a port."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(
        line.split()[1].endswith(f":{int(port):04X}") and line.split()[3] == "0A" for line in lines
    )


def started(directory: Path, port: str) -> Daemon:
    """A daemon that leads a process group of its own."""
    return Application(directory, *MODELS, prefix=("setsid",), WORKERS="2", PORT=port)


def test_a_server_killed_whole_starts_again_on_its_port(
    directory: Path, figure: Figure, port: str
) -> None:
    seconds = []
    for _ in range(RESTARTS):
        with started(directory, port).ready() as daemon:
            os.killpg(daemon.process.pid, signal.SIGKILL)
            daemon.ended()
        until(lambda: not listening(port), 1)
        begun = time.monotonic()
        with started(directory, port).ready():
            seconds.append(time.monotonic() - begun)
    figure(
        f"kill -9 of the process group, {RESTARTS} times",
        f"ready again after {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s",
    )
    assert max(seconds) < 15


def orphaned(daemon: Daemon, port: str, seconds: float) -> float:
    """Kills the parent; seconds until nobody listens on its port, or `seconds`. Leaves no worker behind."""
    workers = daemon.workers()
    daemon.process.kill()
    daemon.ended()
    begun = time.monotonic()
    while listening(port) and time.monotonic() - begun < seconds:
        time.sleep(0.02)
    took = time.monotonic() - begun
    for pid in workers if listening(port) else []:
        with suppress(ProcessLookupError):  # one may leave by itself
            os.kill(pid, signal.SIGKILL)
    return took


def test_workers_leave_the_port_once_their_parent_is_killed(
    directory: Path, figure: Figure, port: str
) -> None:
    seconds = []
    for _ in range(RESTARTS):
        with started(directory, port).ready() as daemon:
            seconds.append(orphaned(daemon, port, 10))
    with Naive(directory, "stock", *MODELS, WORKERS="2", PORT=port).ready() as daemon:
        control = orphaned(daemon, port, 6)
    figure(
        f"kill -9 of the parent alone, {RESTARTS} times",
        f"port free after {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s",
        f"gunicorn with uvicorn's worker: taken after {control:.0f} s",
    )
    assert max(seconds) < 5 < control
