"""The log: one JSON line per event, without secrets; request ids."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.applications import PYTHONPATH, routes
from support.commands import ROOT, clean_environment, wait_until
from support.models import (
    MODEL_DIRS,
    example_body,
    file_digest,
    model_file,
    replace_model_file,
    rewrite_model,
    setting,
)
from support.network import request_bytes, send
from support.server import JSON, PATHS, ROUTES, Server, start_and_fail

MODEL = MODEL_DIRS[0]
NAME = setting(MODEL, "MODEL_NAME")
PATH = PATHS[MODEL]
BODY = example_body(MODEL)
FUNCTIONS = ("echo", "log", "fail", "away")
ALL = f"{ROUTES[MODEL]},{routes(*FUNCTIONS)}"
# The loggers of the libraries, whose lines depend on their versions.
LIBRARIES = ("gunicorn.error", "uvicorn.error")
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00"

KEY = "a-secret-key-012345"
SECRET_BODY = b'{"payload": "a secret body"}'
SECRET_HEADERS = {**JSON, "Authorization": f"Bearer {KEY}", "Cookie": "a secret cookie"}


@pytest.fixture
def directory(trained: Path, tmp_path: Path) -> Path:
    """A folder with a copy of one model."""
    file = model_file(tmp_path)
    file.parent.mkdir()
    shutil.copy(model_file(trained), file)
    return tmp_path


def log_server(directory: Path, **variables: str) -> Server:
    """Start a server with one model and the functions of apps/app.py."""
    return Server(directory, ALL, PYTHONPATH=PYTHONPATH, **variables)


@pytest.fixture(scope="module")
def server(trained: Path) -> Iterator[Server]:
    """A server whose log is JSON."""
    with log_server(trained, LOG_FORMAT="json") as running:
        yield running.wait_until_ready()


def log_lines(server: Server) -> list[dict[str, Any]]:
    """Return the log, one JSON object per line.

    Every line must have time, level, event and process.
    """
    lines = [json.loads(line) for line in server.output.splitlines()]
    for line in lines:
        assert re.fullmatch(TIME, line["time"])
        assert line["level"] in ("info", "warning", "error")
        assert line["event"]
        assert line["process"]
    return lines


def log_events(server: Server) -> list[str]:
    """Return the events of the log, in order."""
    return [line["event"] for line in log_lines(server)]


def wait_for_event(server: Server, event: str) -> dict[str, Any]:
    """Wait for an event and return its first line of the log."""
    wait_until(lambda: event in log_events(server), 5)
    return next(line for line in log_lines(server) if line["event"] == event)


def test_every_event_of_a_server_is_one_json_line(directory: Path) -> None:
    with log_server(directory, LOG_FORMAT="json") as server:
        server.wait_until_ready()

        content = rewrite_model(directory, NAME, NAME, modelDescription="another")
        swapped = wait_for_event(server, "model swapped")
        assert swapped["route"] == PATH
        assert swapped["model"] == NAME
        assert swapped["digest"] == file_digest(content)

        replace_model_file(model_file(directory), b"corrupt")
        wait_for_event(server, "model rejected")

        server.connect(b"garbage\r\n\r\n").close()
        line = wait_for_event(server, "uvicorn.error")
        assert line["message"].startswith("the request is not valid HTTP (")

        os.kill(server.worker_pids()[0], signal.SIGKILL)
        wait_for_event(server, "worker replaced")
        wait_until(lambda: server.status() == 200, 5)

        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0

        events = [event for event in log_events(server) if event not in LIBRARIES]
        ready = ["ready"] * (1 + len(FUNCTIONS))
        assert events[:2] == ["model loaded", "start"]
        assert events[2:9] == [*ready, "model swapped", "model rejected"]
        assert events[-1] == "stop"


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [("/fail", 500, "KeyError: 'a private detail'"), ("/away", 503, "Away: elsewhere")],
)
def test_failure_of_a_function_is_one_line_with_request_and_traceback(
    server: Server, path: str, status: int, error: str
) -> None:
    headers = {**SECRET_HEADERS, "X-Request-Id": "mine-1"}
    response = server.post(f"{path}?token=secret", SECRET_BODY, headers)
    assert response.status_code == status
    assert response.headers["X-Request-Id"] == "mine-1"

    line = log_lines(server)[-1]
    assert line["event"] == "failure"
    assert line["level"] == "error"
    assert line["method"] == "POST"
    assert line["path"] == path
    assert line["status"] == status
    assert line["request"] == "mine-1"
    assert error in line["traceback"]
    assert 0 < line["milliseconds"] < 5000
    assert "secret" not in server.output


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", PATH, b"{", 400),
        ("POST", "/none", SECRET_BODY, 404),
        ("POST", "/", SECRET_BODY, 405),
        ("POST", PATH, BODY, 200),
        ("GET", "/health", None, 200),
    ],
)
def test_client_errors_and_successes_are_not_logged(
    server: Server, method: str, path: str, body: bytes | None, status: int
) -> None:
    before = log_lines(server)
    assert server.request(method, path, body).status_code == status
    assert log_lines(server) == before


def test_access_log_has_a_line_for_each_request_and_no_secrets(directory: Path) -> None:
    (directory / "keys").write_text(KEY)
    wrong_key = {**SECRET_HEADERS, "Authorization": "Bearer a-secret-guess-01"}
    requests = [
        (PATH, BODY, SECRET_HEADERS, 200),
        ("/fail", SECRET_BODY, SECRET_HEADERS, 500),
        ("/none", SECRET_BODY, SECRET_HEADERS, 404),
        ("/echo", SECRET_BODY, wrong_key, 401),
        ("/health", SECRET_BODY, SECRET_HEADERS, 405),
    ]
    variables = {"ACCESS_LOG": "1", "API_KEY_FILE": str(directory / "keys")}

    with log_server(directory, LOG_FORMAT="json", **variables) as server:
        server.wait_until_ready()
        for path, body, headers, status in requests:
            assert server.post(path, body, headers).status_code == status

        lines = [line for line in log_lines(server) if line.get("method") == "POST"]
        logged = [(line["path"], line["status"]) for line in lines]
        assert logged == [(path, status) for path, _, _, status in requests]
        assert len({line["request"] for line in lines}) == len(requests)

        content = model_file(directory).read_bytes()
        assert lines[0]["model"] == NAME
        assert lines[0]["digest"] == file_digest(content)

        assert "secret" not in server.output
        assert b"Husband" in BODY
        assert "Husband" not in server.output


@pytest.mark.parametrize("sent", ["a", "0123-abcd.ef:9/+=_", "x" * 128])
@pytest.mark.parametrize(("path", "body"), [(PATH, BODY), (PATH, b"{"), ("/none", SECRET_BODY)])
def test_response_has_the_request_id_of_the_client(
    server: Server, path: str, body: bytes, sent: str
) -> None:
    response = server.post(path, body, {**JSON, "X-Request-Id": sent})
    assert response.headers["X-Request-Id"] == sent


@pytest.mark.parametrize("sent", ["", " ", "x" * 129, "a b", "a\tb", "é", '"', "<script>", "a;b"])
def test_server_replaces_a_request_id_that_is_long_or_not_plain(server: Server, sent: str) -> None:
    # A raw request, because `requests` rejects a header that is a space. The é is sent as UTF-8.
    header = f"X-Request-Id: {sent}".encode().decode("latin-1")
    response = send(server.port, request_bytes("POST", PATH, BODY, header))
    assert response.status_code == 200
    assert re.fullmatch("[0-9a-f]{16}", response.headers["X-Request-Id"])


def test_error_response_has_a_request_id_of_its_own(server: Server) -> None:
    responses = [server.post(path, b"{") for path in (PATH, "/none", "/ready")]
    assert len({response.headers["X-Request-Id"] for response in responses}) == 3


def test_successful_response_needs_no_request_id(server: Server) -> None:
    response = server.post(PATH, BODY)
    assert response.status_code == 200
    assert "X-Request-Id" not in response.headers


def test_message_of_the_application_is_one_line(server: Server) -> None:
    server.post("/log", SECRET_BODY)
    line = log_lines(server)[-1]
    assert line["event"] == "mine"
    assert line["level"] == "warning"
    assert line["message"] == "two\nlines and more"


def test_text_log_has_one_line_for_a_path_with_line_breaks(directory: Path) -> None:
    with log_server(directory, ACCESS_LOG="1") as server:
        server.wait_until_ready()
        server.get("/a%0a--->%20Answering%1b[31m")
        last = server.output.splitlines()[-1]

    path = re.escape("/a%0A---%3E%20Answering%1B%5B31m")
    form = rf"---> GET {path} 404 in \d+\.\d+ ms \(request [0-9a-f]{{16}}\)"
    assert re.fullmatch(form, last), last


def run_with_invalid_port(**streams: Any) -> subprocess.CompletedProcess[bytes]:
    """Start a server with an invalid port and without LOG_FORMAT; it must fail."""
    environment = clean_environment(PYTHONPATH=str(ROOT / "builders"), PORT="no")
    command = [sys.executable, "-m", "runtime.serve"]
    return subprocess.run(command, env=environment, timeout=20, **streams)


INVALID_PORT = "PORT=no: expected a whole number from 1 to 65535"


def test_log_is_json_if_it_is_not_a_terminal() -> None:
    line = json.loads(run_with_invalid_port(capture_output=True).stderr)
    assert line["event"] == "start failed"
    assert line["level"] == "error"
    assert line["message"] == INVALID_PORT


def test_log_is_text_on_a_terminal() -> None:
    reader, terminal = pty.openpty()
    try:
        done = run_with_invalid_port(stdout=terminal, stderr=terminal)
        assert done.returncode == 78
        assert os.read(reader, 1000).decode() == f"predict: {INVALID_PORT}\r\n"
    finally:
        os.close(reader)
        os.close(terminal)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("LOG_FORMAT", "xml", "expected json or text"),
        ("ACCESS_LOG", "yes", "expected a whole number from 0 to 1"),
    ],
)
def test_start_fails_with_an_unknown_log_setting(
    tmp_path: Path, name: str, value: str, expected: str
) -> None:
    done = start_and_fail(tmp_path, routes("echo"), **{name: value})
    assert done.stderr == f"predict: {name}={value}: {expected}\n"
