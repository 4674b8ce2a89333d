"""Workers: the drain, requests in flight at shutdown, workers that crash."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from support.applications import routes, write_application
from support.commands import wait_until
from support.models import (
    MODEL_DIRS,
    example_body,
    file_digest,
    model_file,
    rewrite_model,
    setting,
)
from support.network import read_response, request_bytes
from support.server import ALL_ROUTES, PATHS, ROUTES, Server
from support.workers import (
    answering_pids,
    served_models,
    two_workers,
    wait_until_workers_answer,
)

MODEL = MODEL_DIRS[0]
NAME = setting(MODEL, "MODEL_NAME")
OTHER_NAME = setting(MODEL_DIRS[-1], "MODEL_NAME")
PATH = PATHS[MODEL]
BODY = example_body(MODEL)
FUNCTIONS = routes("work", "sleep")
NO_WORK = b'{"payload": 0}'
ONE_SECOND = b'{"payload": 1}'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A folder with an application that has no models."""
    write_application(tmp_path)
    return tmp_path


@pytest.fixture
def models_directory(directory: Path, trained: Path) -> Path:
    """The folder of the application, with copies of the trained models."""
    shutil.copytree(trained / "models", directory / "models")
    return directory


@pytest.fixture
def pair(models_directory: Path) -> Iterator[Server]:
    """A server with two workers and one model."""
    entries = f"{ROUTES[MODEL]},{FUNCTIONS}"
    with two_workers(models_directory, entries) as server:
        yield server


def kill_worker(server: Server, pid: int, seconds: float) -> requests.Response:
    """Kill a server's only worker; return the first 200 of /ready from the next one."""

    def ready_response() -> requests.Response | None:
        try:
            response = server.get("/ready")
        except requests.RequestException:
            return None
        return response if response.status_code == 200 else None

    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: server.worker_pids() not in ([], [pid]), seconds)
    response: requests.Response = wait_until(ready_response, seconds)
    return response


def served_digest(response: requests.Response) -> str:
    """Return the digest of the model in a response of /ready."""
    digest: str = response.json()["routes"][PATH]["digest"]
    return digest


def test_counts_include_those_of_a_killed_worker(models_directory: Path, pair: Server) -> None:
    for _ in range(20):
        assert pair.post(PATH, BODY).status_code == 200

    killed, other = pair.worker_pids()
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in answering_pids(pair), 3)
    pids = wait_until_workers_answer(pair, 2, 3)
    assert killed not in pids
    assert other in pids

    for _ in range(20):
        assert pair.post(PATH, BODY).status_code == 200
    assert pair.metrics()["predict_requests_total", PATH, "200"] == 40

    digest = file_digest(model_file(models_directory).read_bytes())
    assert served_models(pair) == [(PATH, NAME, digest)]


@pytest.mark.serial
def test_killed_worker_is_replaced_within_two_seconds(models_directory: Path) -> None:
    with Server(models_directory, f"{ALL_ROUTES},{FUNCTIONS}") as server:
        server.wait_until_ready()
        (killed,) = server.worker_pids()
        started = time.monotonic()
        kill_worker(server, killed, 2)
        assert time.monotonic() - started < 2

        assert server.post(PATH, BODY).status_code == 200
        response = server.post("/work", NO_WORK)
        assert response.json()["payload"]["pid"] != killed


def test_new_worker_serves_the_model_that_replaced_another(models_directory: Path) -> None:
    with Server(models_directory, ROUTES[MODEL]) as server:
        server.wait_until_ready()
        old = served_digest(server.get("/ready"))
        new = file_digest(rewrite_model(models_directory, NAME, OTHER_NAME))
        assert new != old
        wait_until(lambda: served_digest(server.get("/ready")) == new, 3)

        for _ in range(3):
            (killed,) = server.worker_pids()
            response = kill_worker(server, killed, 5)
            assert served_digest(response) == new


def test_two_workers_leave_nothing_in_shared_memory(models_directory: Path, pair: Server) -> None:
    pair.send_signal(signal.SIGTERM)
    assert pair.wait() == 0

    started = models_directory.stat().st_ctime
    files = Path("/dev/shm").iterdir()
    assert [path for path in files if path.stat().st_mtime > started] == []


@pytest.mark.serial
def test_server_answers_until_the_drain_is_over(directory: Path) -> None:
    message = "the server is stopping"
    stopping = {"error": {"code": "stopping", "message": message, "path": None}}

    with Server(directory, FUNCTIONS, DRAIN_SECONDS="2") as server:
        server.wait_until_ready()
        server.send_signal(signal.SIGTERM)
        started = time.monotonic()
        wait_until(lambda: server.status() == 503, 1)

        while time.monotonic() - started < 1.5:
            assert server.get("/ready").json() == stopping
            assert server.status("/health") == 200
            response = server.post("/work", NO_WORK)
            assert response.status_code == 200
            assert response.headers["Connection"] == "close"

        assert server.wait(5) == 0
        assert 1.9 < time.monotonic() - started < 4
        assert "Traceback" not in server.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_finishes_requests_in_flight(directory: Path, number: signal.Signals) -> None:
    with Server(directory, FUNCTIONS) as server, ThreadPoolExecutor() as pool:
        server.wait_until_ready()
        request = pool.submit(server.post, "/sleep", ONE_SECOND)
        time.sleep(0.3)
        server.send_signal(number)
        assert server.wait(5) == 0
        assert request.result().json() == {"payload": {"slept": 1}}
        assert "Traceback" not in server.output


def test_killed_worker_loses_requests_in_flight(directory: Path) -> None:
    with Server(directory, FUNCTIONS) as server:
        server.wait_until_ready()
        (worker,) = server.worker_pids()
        with server.connect(request_bytes("POST", "/sleep", ONE_SECOND)) as connection:
            time.sleep(0.2)
            os.kill(worker, signal.SIGKILL)
            with pytest.raises(ConnectionError):
                read_response(connection)


def test_idle_connection_does_not_delay_the_shutdown(directory: Path) -> None:
    with Server(directory, FUNCTIONS) as server:
        server.wait_until_ready()
        with server.connect(request_bytes("GET", "/health")) as connection:
            assert read_response(connection).status_code == 200
            server.send_signal(signal.SIGTERM)
            assert server.wait(3) == 0


def test_sigint_ends_the_server_without_a_drain(directory: Path) -> None:
    with Server(directory, FUNCTIONS, DRAIN_SECONDS="10") as server:
        server.wait_until_ready()
        server.send_signal(signal.SIGINT)
        assert server.wait(3) == 0
        assert "Traceback" not in server.output


def test_sigint_to_every_process_ends_the_server_without_a_drain(directory: Path) -> None:
    # A terminal sends SIGINT to every process when its user presses Ctrl-C.
    with Server(directory, FUNCTIONS, DRAIN_SECONDS="10", WORKERS="2") as server:
        server.wait_until_ready(workers=2)
        for pid in [*server.worker_pids(), server.process.pid]:
            os.kill(pid, signal.SIGINT)
        assert server.wait(8) == 0
        assert "Traceback" not in server.output
