"""Functions that do not return: clients, /ready, the log, the next worker."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from support.applications import routes, write_application
from support.commands import wait_until
from support.figures import Figure
from support.network import read_response, request_bytes
from support.server import JSON, Server, error_in

LIMIT = 1
STUCK = ("sleep_in_c", "loop", "deadlock", "wait_for_thread", "retry")
ROUTES = routes("sleep", "sleep_too", "work", "hold_lock", "crash", *STUCK, module="stuck")
ANY = b'{"payload": 1}'
TWO_SECONDS = b'{"payload": 2}'
LONG = b'{"payload": 600}'
PROBLEM = "the predict function did not return within 1 s"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A folder with an application whose functions do not return."""
    write_application(tmp_path, "stuck")
    return tmp_path


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one worker, whose functions may run for a second."""
    directory = tmp_path_factory.mktemp("stuck")
    write_application(directory, "stuck")
    with Server(directory, ROUTES, FUNCTION_SECONDS=str(LIMIT)) as server:
        yield server


@pytest.fixture
def server(shared_server: Server) -> Server:
    """The server, when the worker of an earlier test has been replaced."""
    return shared_server.wait_until_ready()


def worker_pid(server: Server) -> int:
    """Return the process id of the worker that answers."""
    pid: int = server.post("/work", ANY).json()["payload"]["pid"]
    return pid


def wait_for_new_worker(server: Server, old: int, seconds: float) -> None:
    """Wait until another worker is ready."""

    def is_replaced() -> bool:
        try:
            return server.status() == 200 and worker_pid(server) != old
        except requests.RequestException:
            return False

    wait_until(is_replaced, seconds)


def kill(server: Server) -> None:
    """Kill a server and its worker, which would not end by itself."""
    (worker,) = server.worker_pids()
    server.process.kill()
    os.kill(worker, signal.SIGKILL)


@pytest.mark.parametrize("name", STUCK)
def test_call_that_does_not_return_is_answered_and_its_worker_replaced(
    server: Server, name: str, figure: Figure
) -> None:
    old = worker_pid(server)
    started = time.monotonic()
    response = server.post(f"/{name}", ANY, {**JSON, "X-Request-Id": f"mine-{name}"})
    seconds = time.monotonic() - started

    assert response.status_code == 504
    advice = "Send fewer rows, or set another FUNCTION_SECONDS."
    error = {"code": "timeout", "message": f"{PROBLEM}. {advice}", "path": None}
    assert error_in(response) == error
    ready = server.get("/ready")
    assert ready.status_code == 503
    assert error_in(ready)["routes"] == {f"/{name}": f"{PROBLEM}, and still runs"}
    assert server.status("/health") == 200
    assert worker_pid(server) == old
    again = server.post(f"/{name}", ANY)
    assert (again.status_code, again.headers["Retry-After"]) == (503, "1")

    wait_for_new_worker(server, old, 10)
    replaced = time.monotonic() - started
    times = f"504 after {seconds:.1f} s, a new worker after {replaced:.1f} s"
    figure(f"/{name} does not return", times)
    lines = (
        f"POST /{name} 504 in ",
        f"(request mine-{name})",
        f"in {name}\n",
        f"/{name}: the predict function does not return.",
    )
    assert [line for line in lines if line not in server.output] == []
    assert f"a worker ended during POST /{name}" not in server.output
    assert server.metrics()["predict_requests_total", f"/{name}", "504"] == 1
    assert server.metrics()["predict_requests_total", f"/{name}", "503"] == 1


def test_call_without_a_limit_is_not_answered_and_ready_does_not_show_it(
    directory: Path,
) -> None:
    with Server(directory, ROUTES, FUNCTION_SECONDS="0") as server:
        server.wait_until_ready()
        with pytest.raises(requests.Timeout):
            server.request("POST", "/deadlock", ANY, seconds=4)
        assert server.status() == 200
        kill(server)


def test_worker_stays_if_a_call_returns_soon_after_its_limit(server: Server) -> None:
    old = worker_pid(server)
    assert server.post("/sleep", TWO_SECONDS).status_code == 504
    assert server.status() == 503

    wait_until(lambda: server.status() == 200, 3)
    assert server.post("/sleep", b'{"payload": 0}').status_code == 200
    time.sleep(2)
    assert worker_pid(server) == old
    # The late answer is not counted.
    assert server.metrics()["predict_requests_total", "/sleep", "200"] == 1


def test_calls_that_wait_for_an_overdue_call_are_rejected(server: Server) -> None:
    with ThreadPoolExecutor(3) as clients:
        responses = list(clients.map(lambda _: server.post("/sleep", LONG), range(3)))
    assert sorted(response.status_code for response in responses) == [503, 503, 504]


def hold_the_lock(server: Server, seconds: float) -> None:
    """Call the function that keeps Python's lock, and expect no answer."""
    headers = {**JSON, "X-Request-Id": "mine"}
    with pytest.raises(requests.RequestException):
        server.request("POST", "/hold_lock", ANY, headers, seconds)


def test_worker_whose_function_keeps_the_lock_is_replaced(
    server: Server, directory: Path, figure: Figure
) -> None:
    old = worker_pid(server)
    started = time.monotonic()
    hold_the_lock(server, 20)
    wait_for_new_worker(server, old, 5)
    seconds = time.monotonic() - started
    assert "WORKER TIMEOUT" in server.output
    assert "a worker ended during POST /hold_lock (request mine)." in server.output

    with Server(directory, ROUTES, FUNCTION_SECONDS="0") as unlimited:
        unlimited.wait_until_ready()
        hold_the_lock(unlimited, 8)
        with pytest.raises(requests.Timeout):
            unlimited.request("GET", "/health", seconds=1)
        kill(unlimited)

    figure("a function keeps Python's lock", f"replaced after {seconds:.1f} s", "no limit: stuck")
    assert seconds < LIMIT + 7


def test_log_names_the_call_during_which_a_worker_crashed(server: Server) -> None:
    old = worker_pid(server)
    with pytest.raises(requests.ConnectionError):
        server.post("/crash", ANY, {**JSON, "X-Request-Id": "mine"})
    wait_for_new_worker(server, old, 5)
    assert "a worker ended during POST /crash (request mine). The client gets no answer." in (
        server.output
    )

    crashes = server.output.count("a worker ended during")
    os.kill(worker_pid(server), signal.SIGKILL)
    wait_until(lambda: server.status() == 200, 5)
    assert server.output.count("a worker ended during") == crashes


def seconds_during(server: Server, path: str, body: bytes) -> float:
    """Return the time of a request while /sleep runs for two seconds."""
    with server.connect(request_bytes("POST", "/sleep", TWO_SECONDS)) as connection:
        time.sleep(0.2)
        started = time.monotonic()
        assert server.post(path, body).status_code == 200
        seconds = time.monotonic() - started
        assert read_response(connection).status_code == 200
    return seconds


@pytest.mark.serial
def test_slow_function_delays_only_its_own_routes(directory: Path, figure: Figure) -> None:
    with Server(directory, ROUTES) as server:
        server.wait_until_ready()
        other = seconds_during(server, "/work", ANY)
        same = seconds_during(server, "/sleep_too", b'{"payload": 0}')

    figure(
        "a function takes 2 s",
        f"another function answers after {other:.2f} s",
        f"another route of the same function answers after {same:.1f} s",
    )
    assert other < 0.5
    assert same > 1.5


def ready_statuses(server: Server) -> set[int]:
    """Return the statuses of /ready from all workers."""
    return {server.status() for _ in range(20)}


def test_ready_page_is_503_only_for_the_worker_that_is_stuck(directory: Path) -> None:
    with Server(directory, ROUTES, FUNCTION_SECONDS="1", WORKERS="2") as server:
        server.wait_until_ready(workers=2)
        assert server.post("/deadlock", ANY).status_code == 504
        wait_until(lambda: ready_statuses(server) == {200, 503}, 2)
        wait_until(lambda: ready_statuses(server) == {200}, 10)


def stop_seconds(directory: Path, **variables: str) -> float:
    """Stop a server while a call does not return; return the time until its end."""
    with Server(directory, ROUTES, **variables) as server:
        server.wait_until_ready()
        with server.connect(request_bytes("POST", "/deadlock", ANY)):
            time.sleep(0.2)
            started = time.monotonic()
            server.send_signal(signal.SIGTERM)
            assert server.wait() == 0
            return time.monotonic() - started


def test_server_ends_although_a_call_does_not_return(directory: Path) -> None:
    assert stop_seconds(directory, FUNCTION_SECONDS="1") < 4
