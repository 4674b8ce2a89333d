"""Processes that a function starts: they work, and they end with the server."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.applications import PYTHONPATH, routes, write_application
from support.commands import wait_until
from support.fault_servers import naive_server
from support.figures import Figure
from support.network import is_listening
from support.server import Server

POOLS = {
    "pool": b'{"payload": [1, 2]}',
    "executor": b'{"payload": [1, 2]}',
    "manager": b'{"payload": 1}',
}
START_METHODS = ("fork", "spawn", "forkserver")
LEFT = ("fork", "process", "program", "stubborn", "grandchild")
ROUTES = routes(*POOLS, *LEFT, "start_method", "child_signals", module="children")
ANY = b'{"payload": 1}'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A folder with an application that starts processes."""
    write_application(tmp_path, "children")
    return tmp_path


@pytest.fixture
def server(directory: Path) -> Iterator[Server]:
    """A server with one worker."""
    with Server(directory, ROUTES) as server:
        yield server.wait_until_ready()


def stock_server(directory: Path) -> Server:
    """Return a server of the same functions, by gunicorn with uvicorn's worker."""
    variables = {"PYTHONPATH": PYTHONPATH, "WORKERS": "1"}
    return naive_server(directory, "stock", ROUTES, **variables).wait_until_ready()


def payload(response: requests.Response) -> Any:
    """Return the payload of a 200 response."""
    assert response.status_code == 200, response.text
    return response.json()["payload"]


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie does not count."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def end(*pids: int) -> None:
    """Kill the processes that still run."""
    for pid in pids:
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)


def leave_children(server: Server) -> list[int]:
    """Let every function of LEFT start a process, and return the process ids."""
    children: list[int] = []
    for name in LEFT:
        children += payload(server.post(f"/{name}", ANY))["children"]
    assert all(is_running(pid) for pid in children)
    return children


def test_function_uses_pools_of_processes(server: Server, figure: Figure) -> None:
    started = time.monotonic()
    answers = [payload(server.post(f"/{name}", body)) for name, body in POOLS.items()]
    for method in START_METHODS:
        response = server.post("/start_method", b'{"payload": "%s"}' % method.encode())
        answers.append(payload(response))
    seconds = time.monotonic() - started

    doubled = {"doubled": [2, 4]}
    assert answers == [doubled, doubled, {"value": 1}] + [{"doubled": [2]}] * 3
    figure(f"pools of processes in a function, {len(answers)} kinds", f"{seconds:.1f} s in total")


def test_forked_process_has_only_the_signal_handler_of_python(
    server: Server, directory: Path
) -> None:
    assert payload(server.post("/child_signals", ANY)) == {"handled": [signal.SIGINT]}

    with stock_server(directory) as stock:
        handled = payload(stock.post("/child_signals", ANY))["handled"]
    assert signal.SIGTERM in handled


def stop_with_children(server: Server) -> tuple[list[int], bool]:
    """Stop a server whose functions have started processes.

    Return the processes that still run, and whether one of them listens on the server's port.
    """
    children = leave_children(server)
    server.send_signal(signal.SIGTERM)
    assert server.wait(10) == 0
    left = [pid for pid in children if is_running(pid)]
    listening = is_listening(server.port)
    end(*left)
    return left, listening


def test_processes_of_functions_end_with_the_server(
    server: Server, directory: Path, figure: Figure
) -> None:
    started = time.monotonic()
    ours = stop_with_children(server)
    seconds = time.monotonic() - started
    with stock_server(directory) as stock:
        left, listening = stop_with_children(stock)

    figure(
        f"SIGTERM while {len(LEFT)} processes of functions run",
        f"all ended after {seconds:.1f} s",
        f"gunicorn with uvicorn's worker: {len(left)} still run and keep the port",
    )
    assert ours == ([], False)
    assert len(left) == len(LEFT)
    assert listening


def test_processes_of_a_killed_worker_end_and_those_of_another_worker_stay(
    directory: Path,
) -> None:
    with Server(directory, ROUTES, WORKERS="2") as server:
        server.wait_until_ready(workers=2)
        children = leave_children(server)
        killed = server.worker_pids()[0]
        own = Path(f"/proc/{killed}/task").glob("*/children")
        expected = {int(pid) for path in own for pid in path.read_text().split()}

        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: not any(is_running(pid) for pid in expected), 5)
        wait_until(lambda: server.status() == 200, 5)

        # The grandchildren belong to no worker.
        others = set(children[:-1]) - expected
        assert all(is_running(pid) for pid in others)
        # The other worker may have answered before the new one has started.
        wait_until(lambda: len(server.worker_pids()) == 2, 5)


@pytest.mark.parametrize("name", ["fork", "process"])
def test_process_of_a_function_does_not_keep_the_port(server: Server, name: str) -> None:
    (child,) = payload(server.post(f"/{name}", ANY))["children"]
    (worker,) = server.worker_pids()
    end(server.process.pid, worker)
    server.wait()

    wait_until(lambda: not is_listening(server.port), 2)
    assert is_running(child)
    end(child)


def test_workers_end_their_processes_once_their_parent_is_killed(server: Server) -> None:
    (child,) = payload(server.post("/stubborn", ANY))["children"]
    end(server.process.pid)
    server.wait()
    wait_until(lambda: not is_running(child), 5)
