"""Failures of predict functions in a running server, whatever they raise.

Each failure is a 500 response with a request id, one line in the log and a count in /metrics.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.server import Server, error_in

APPLICATION = """
import asyncio
from typing import Any

class Wordless(Exception):
    def __str__(self):
        raise SystemExit("no text")

def predict(msg):
    raise eval(msg.payload)

async def predict_later(msg):
    raise eval(msg.payload)

class Quick:
    ready = True
    quick_bytes = 1_000_000
    info = {}
    def refresh(self):
        pass

def predict_quickly(msg):
    raise eval(msg.payload)

predict_quickly.hook = Quick()

class Broken(Quick):
    @property
    def quick_bytes(self):
        raise ValueError("a broken hook")

def predict_with_hook(msg):
    return {}

predict_with_hook.hook = Broken()
"""
ROUTES = (
    "sync:app:predict,later:app:predict_later,quick:app:predict_quickly,hook:app:predict_with_hook"
)
ERRORS = (
    "ValueError('a')",
    "SystemExit(0)",
    "SystemExit(3)",
    "KeyboardInterrupt()",
    "GeneratorExit()",
    "asyncio.CancelledError()",
    "asyncio.TimeoutError()",
    "BaseException()",
    "StopIteration(1)",
    "StopAsyncIteration()",
    "RecursionError()",
    "MemoryError()",
    "BrokenPipeError()",
    "ConnectionResetError()",
    "BaseExceptionGroup('a', [KeyboardInterrupt()])",
    "Wordless()",
    "'no exception'",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of functions that raise what the payload names."""
    directory: Path = tmp_path_factory.mktemp("failures")
    (directory / "app.py").write_text(APPLICATION)
    with Server(directory, ROUTES, LOG_FORMAT="json") as server:
        yield server.wait_until_ready()


@pytest.mark.parametrize("route", ["/sync", "/later", "/quick"])
def test_each_failure_is_a_500_with_id_log_line_and_count(server: Server, route: str) -> None:
    worker = server.worker_pids()
    sent = []
    for error in ERRORS:
        response = server.post(route, json.dumps({"payload": error}).encode())
        assert response.status_code == 500, error
        assert error_in(response)["code"] == "internal_error"
        sent.append(response.headers["X-Request-Id"])

    lines = [json.loads(line) for line in server.output.splitlines()]
    failures = [line for line in lines if line.get("path") == route]
    assert [line["request"] for line in failures] == sent
    for error, line in zip(ERRORS, failures, strict=True):
        assert line["event"] == "failure"
        name = "TypeError" if error.startswith("'") else error.partition("(")[0].split(".")[-1]
        assert name in line["traceback"]

    assert server.metrics()[("predict_requests_total", route, "500")] == len(ERRORS)
    assert server.worker_pids() == worker
    assert server.get("/health").status_code == 200


def test_failure_of_a_hook_is_a_500_with_id_log_line_and_count(server: Server) -> None:
    response = server.post("/hook", b'{"payload": 1}')
    assert response.status_code == 500
    assert error_in(response)["code"] == "internal_error"

    line = json.loads(server.output.splitlines()[-1])
    assert line["request"] == response.headers["X-Request-Id"]
    assert "ValueError: a broken hook" in line["traceback"]
    assert server.metrics()[("predict_requests_total", "/hook", "500")] == 1
