"""Applications that start threads, processes or connections at import."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from support.applications import PYTHONPATH, routes, write_application
from support.commands import wait_until
from support.figures import Figure
from support.server import Server, start_and_fail

ANY = b'{"payload": 0}'
ROUTES = routes("predict", module="started")
# What each kind has started according to the log.
STARTED = {
    "thread_pool": "threads (1)",
    "plain_thread": "threads (1)",
    "event_loop": "threads (1), event loops, pipes or connections (3)",
    "idle_loop": "event loops, pipes or connections (3)",
    "process_pool": "threads (2), processes (2), event loops, pipes or connections",
    "manager": "processes (1), event loops, pipes or connections",
    "program": "processes (1), event loops, pipes or connections (2)",
    "connection": "event loops, pipes or connections (2)",
    "openmp": "threads of libraries (",
    "onnx": "threads of libraries (",
    "elsewhere": "threads (1)",
}
LOST_BY_A_FORK = ("thread_pool", "plain_thread", "event_loop", "process_pool")
SHAREABLE = ("unused_pool", "ended_thread", "at_exit", "blas")
IMPORTED = "Each worker imports it."


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A folder with an application that starts something at import."""
    write_application(tmp_path, "started")
    return tmp_path


@contextmanager
def started_server(directory: Path, kind: str, **variables: str) -> Iterator[Server]:
    """Run a server of two workers with an application that has started something."""
    environment = {"STARTED": kind, "PYTHONPATH": PYTHONPATH, "WORKERS": "2", **variables}
    with Server(directory, ROUTES, **environment) as server:
        yield server.wait_until_ready()


def answers(server: Server, workers: int) -> dict[int, dict[str, Any]]:
    """Return an answer of each worker, by process id."""
    found: dict[int, dict[str, Any]] = {}

    def all_have_answered() -> bool:
        try:
            response = server.post("/predict", ANY)
        except requests.RequestException:
            return False
        assert response.status_code == 200, response.text
        answer = response.json()["payload"]
        found[answer["pid"]] = answer
        return len(found) == workers

    wait_until(all_have_answered, 20)
    return found


@pytest.mark.parametrize("kind", STARTED)
def test_application_is_imported_in_each_worker(directory: Path, kind: str) -> None:
    with started_server(directory, kind) as server:
        found = answers(server, 2)
        assert [answer["answer"] for answer in found.values()] == [4, 4]
        assert all(answer["imported_by"] == pid for pid, answer in found.items())
        # The processes of the first import have ended.
        assert sorted(server.worker_pids()) == sorted(found)
        assert f"the application has started {STARTED[kind]}" in server.output
        assert IMPORTED in server.output


@pytest.mark.parametrize("kind", LOST_BY_A_FORK)
def test_application_that_is_imported_in_the_parent_does_not_answer(
    directory: Path, kind: str
) -> None:
    with started_server(directory, kind, PRELOAD="1", FUNCTION_SECONDS="1") as server:
        assert server.post("/predict", ANY).status_code in (500, 504)
        assert IMPORTED not in server.output


@pytest.mark.parametrize("kind", SHAREABLE)
def test_application_is_imported_once_if_a_fork_loses_nothing(directory: Path, kind: str) -> None:
    with started_server(directory, kind) as server:
        found = answers(server, 2)
        assert [answer["answer"] for answer in found.values()] == [4, 4]
        parent = server.process.pid
        assert all(answer["imported_by"] == parent for answer in found.values())
        assert IMPORTED not in server.output


def test_workers_that_import_the_application_count_together_and_are_replaced(
    directory: Path, figure: Figure
) -> None:
    with started_server(directory, "thread_pool", PRELOAD="0") as server:
        killed, other = answers(server, 2)
        before = server.metrics()["predict_requests_total", "/predict", "200"]
        assert before >= 2

        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: killed not in server.worker_pids(), 5)
        wait_until(lambda: len(server.worker_pids()) == 2, 5)
        assert other in answers(server, 2)
        assert server.metrics()["predict_requests_total", "/predict", "200"] > before
        assert server.output.count("Answering POST") == 1

        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
    figure(f"{len(STARTED)} kinds of things that run since the import", "all workers answer")


def test_server_ends_if_a_worker_cannot_import_the_application(directory: Path) -> None:
    variables = {"STARTED": "broken", "PRELOAD": "0", "WORKERS": "2"}
    done = start_and_fail(directory, ROUTES, **variables)

    assert done.returncode == 78
    assert "route predict: importing started failed: OSError('a second import')" in done.stderr
