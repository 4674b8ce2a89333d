"""engines/readiness.py: processes and answers of a server that is starting."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import readiness
from runtime.endpoint import Endpoint
from runtime.probes import ready
from support.commands import ROOT, wait_until
from support.network import free_port

IMAGE = "a-test-of-readiness-predict"
PORT = 5111
SLEEP = "import time; time.sleep(60)"


@contextmanager
def process(*arguments: object) -> Iterator[None]:
    """Run a program that does nothing, with these arguments."""
    command = [sys.executable, "-c", SLEEP, *map(str, arguments)]
    running = subprocess.Popen(command)
    try:
        marks = " ".join(command[3:])
        wait_until(lambda: any(marks in line for line in readiness.command_lines()), 10)
        yield
    finally:
        running.kill()
        running.wait()


@pytest.mark.parametrize(
    "arguments",
    [
        ("engines/run.sh", "predict", IMAGE),
        ("./build.sh", IMAGE, "house", "predict"),
        ("docker", "run", "--name", IMAGE, "--publish", f"{PORT}:5000"),
        ("docker", "run", "--name", IMAGE, "--publish", f"127.0.0.1:{PORT}:5000"),
    ],
)
def test_process_of_a_server_is_recognised(arguments: tuple[str, ...]) -> None:
    assert not readiness.is_starting(IMAGE, PORT)
    with process(*arguments):
        assert readiness.is_starting(IMAGE, PORT)
    assert not readiness.is_starting(IMAGE, PORT)


@pytest.mark.parametrize(
    "arguments",
    [
        ("engines/run.sh", "predict", f"{IMAGE}-2"),
        ("engines/run.sh", "logs", IMAGE),
        ("docker", "run", "--name", IMAGE, "--publish", f"{PORT + 1}:5000"),
        ("docker", "run", "--name", IMAGE, "--publish", f"1{PORT}:5000"),
    ],
)
def test_other_process_is_not_a_server(arguments: tuple[str, ...]) -> None:
    with process(*arguments):
        assert not readiness.is_starting(IMAGE, PORT)


def test_local_server_is_starting_on_its_own_port_only() -> None:
    port = free_port()
    file = ROOT / ".local/run" / IMAGE
    program = [sys.executable, ROOT / "engines/local_server.py", "run", file]
    running = subprocess.Popen([*program, f"http://127.0.0.1:{port}", "sleep", "60"])
    try:
        wait_until(lambda: readiness.is_starting(IMAGE, port), 10)
        assert not readiness.is_starting(IMAGE, port + 1)
        running.kill()
        running.wait()
        # The file of a server that has ended proves nothing.
        assert file.with_name(f"{IMAGE}.pid").exists()
        assert not readiness.is_starting(IMAGE, port)
    finally:
        running.kill()
        running.wait()
        file.with_name(f"{IMAGE}.pid").unlink()


def endpoint(problem: str | None) -> Endpoint:
    """Return a route whose model is not ready, with the reason or without one."""

    class Hook:
        ready = False
        quick_bytes = 0
        info: dict[str, str] = {}

    def predict(msg: Any) -> Any:
        return {}

    predict.hook = Hook()  # type: ignore[attr-defined]
    created = Endpoint("a", predict)
    created.problem = problem
    return created


def answer(*problems: str | None, draining: bool = False) -> Any:
    """Return the server's answer to GET /ready."""
    endpoints = [endpoint(problem) for problem in problems]
    return json.loads(asyncio.run(ready(endpoints, draining)).body)


def test_rejected_model_is_final() -> None:
    for problem in ("no such file; train it", "a: not loaded yet. Really"):
        assert readiness.is_final(answer(problem))


def test_model_that_is_not_loaded_and_server_that_stops_are_not_final() -> None:
    assert not readiness.is_final(answer(None))
    assert not readiness.is_final(answer("no such file", None))
    assert not readiness.is_final(answer("no such file", draining=True))


@pytest.mark.parametrize("other", [None, [], "not_ready", {"error": None}, {"error": "not_ready"}])
def test_answer_of_another_server_is_not_final(other: object) -> None:
    assert not readiness.is_final(other)
