"""What the daemon tells: one JSON line for each event, nothing secret, and an id for each request that needs one."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import MODEL_DIRS, ROOT, setting
from support.daemon import JSON, PATHS, ROUTES, Daemon, instances, until
from test_serve import renamed, start

APPLICATION = """
import logging

def echo(msg):
    logging.getLogger("mine").warning("two\\nlines and %s", "more")
    return {"echo": 1}

def fail(msg):
    raise KeyError("why")

class Away(Exception):
    status, code = 503, "away"

def away(msg):
    raise Away("elsewhere")
"""
MODEL = MODEL_DIRS[0]
NAME = setting(MODEL, "MODEL_NAME")
ALL = ",".join([ROUTES[MODEL], *(f"{name}:app:{name}" for name in ("echo", "fail", "away"))])
GOOD = b'{"payload": "a secret body"}'
SECRET = {**JSON, "Authorization": "Bearer a-secret-key-012345", "Cookie": "a secret cookie"}


@pytest.fixture
def application(tmp_path: Path, trained: Path) -> Path:
    """Small functions, and a copy of one model."""
    (tmp_path / "app.py").write_text(APPLICATION)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / f"{NAME}.pkl").write_bytes(
        (trained / "models" / f"{NAME}.pkl").read_bytes()
    )
    return tmp_path


@pytest.fixture(scope="module")
def daemon(trained: Path) -> Iterator[Daemon]:
    """A daemon whose log is JSON."""
    (trained / "app.py").write_text(APPLICATION)
    with Daemon(trained, ALL, LOG_FORMAT="json") as running:
        yield running.ready()


def lines(daemon: Daemon) -> list[dict[str, Any]]:
    """The log, of which every line must be JSON and tell when, how bad and what."""
    parsed = [json.loads(line) for line in daemon.said.splitlines()]
    for line in parsed:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])
        assert line["level"] in ("info", "warning", "error") and line["event"] and line["process"]
    return parsed


def events(daemon: Daemon) -> list[str]:
    """The events of the log, in order."""
    return [line["event"] for line in lines(daemon)]


def test_a_whole_life_is_one_json_line_for_each_event(application: Path) -> None:
    with Daemon(application, ALL, LOG_FORMAT="json") as daemon:
        daemon.ready()
        new = renamed(application, NAME, NAME, modelDescription="another")
        until(lambda: "model swapped" in events(daemon), 5)
        (application / "models" / f"{NAME}.pkl").write_bytes(b"spoilt")
        until(lambda: "model refused" in events(daemon), 5)
        daemon.raw(b"garbage\r\n\r\n").close()
        until(lambda: "uvicorn.error" in events(daemon), 5)
        os.kill(daemon.workers()[0], signal.SIGKILL)
        until(lambda: "worker replaced" in events(daemon) and daemon.status() == 200, 5)
        daemon.signal(signal.SIGTERM)
        assert daemon.ended() == 0
        told = [
            event for event in events(daemon) if event not in ("gunicorn.error", "uvicorn.error")
        ]
        assert told[:6] == ["model loaded", "start", *["ready"] * 4]
        assert told[6:8] == ["model swapped", "model refused"] and told[-1] == "stop"
        swapped = next(line for line in lines(daemon) if line["event"] == "model swapped")
        assert (swapped["route"], swapped["model"], swapped["digest"]) == (PATHS[MODEL], NAME, new)
        assert "Invalid HTTP request received." in [line["message"] for line in lines(daemon)]


def test_a_failure_is_one_line_with_its_request_and_its_traceback(daemon: Daemon) -> None:
    for path, status, text in (
        ("/fail", 500, "KeyError: 'why'"),
        ("/away", 503, "Away: elsewhere"),
    ):
        answer = daemon.ask(
            "POST", f"{path}?token=secret", GOOD, {**SECRET, "X-Request-Id": "mine-1"}
        )
        assert (answer.status, answer.headers["x-request-id"]) == (status, "mine-1")
        line = lines(daemon)[-1]
        assert (line["event"], line["level"], line["status"]) == ("failure", "error", status)
        assert (line["method"], line["path"], line["request"]) == ("POST", path, "mine-1")
        assert text in line["traceback"] and 0 < line["milliseconds"] < 5000
    assert "secret" not in daemon.said


def test_what_is_the_clients_fault_is_not_told_and_what_went_well_is_not(daemon: Daemon) -> None:
    before = lines(daemon)
    for path, body in (
        (PATHS[MODEL], b"{"),
        ("/none", GOOD),
        ("/", GOOD),
        (PATHS[MODEL], instances(MODEL)),
    ):
        daemon.ask("POST", path, body)
    daemon.ask("GET", "/health")
    assert lines(daemon) == before


def test_the_access_log_tells_each_request_and_nothing_secret(application: Path) -> None:
    (application / "keys").write_text("a-secret-key-012345")
    keys = {"API_KEY_FILE": str(application / "keys")}
    with Daemon(application, ALL, LOG_FORMAT="json", ACCESS_LOG="1", **keys) as daemon:
        daemon.ready()
        asked = [
            (PATHS[MODEL], 200),
            ("/fail", 500),
            ("/none", 404),
            ("/echo", 401),
            ("/health", 405),
        ]
        for path, status in asked:
            sent = {
                **SECRET,
                **({"Authorization": "Bearer a-secret-guess-01"} if status == 401 else {}),
            }
            body = instances(MODEL) if status == 200 else GOOD
            assert daemon.ask("POST", path, body, sent).status == status
        told = [line for line in lines(daemon) if "status" in line and line["method"] == "POST"]
        assert [(line["path"], line["status"]) for line in told] == asked
        assert told[0]["model"] == NAME and told[0]["digest"] == daemon.ask("GET", "/ready").json["routes"][
            PATHS[MODEL]]["digest"]  # fmt: skip
        assert len({line["request"] for line in told}) == len(asked)
        assert "secret" not in daemon.said and "Husband" not in daemon.said


@pytest.mark.parametrize("sent", ["a", "0123-abcd.ef:9/+=_", "x" * 128])
def test_a_clients_request_id_comes_back(daemon: Daemon, sent: str) -> None:
    for path, body in ((PATHS[MODEL], instances(MODEL)), (PATHS[MODEL], b"{"), ("/none", GOOD)):
        assert (
            daemon.ask("POST", path, body, {**JSON, "X-Request-Id": sent}).headers["x-request-id"]
            == sent
        )


@pytest.mark.parametrize("sent", ["", " ", "x" * 129, "a b", "a\tb", "é", '"', "<script>", "a;b"])
def test_an_id_that_is_long_or_not_plain_is_replaced(daemon: Daemon, sent: str) -> None:
    headers = {**JSON, "X-Request-Id": sent.encode().decode("latin-1")}
    answer = daemon.ask("POST", PATHS[MODEL], instances(MODEL), headers)
    assert answer.status == 200 and re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])


def test_an_error_gets_an_id_and_a_plain_answer_needs_none(daemon: Daemon) -> None:
    ids = {
        daemon.ask("POST", path, b"{").headers["x-request-id"]
        for path in (PATHS[MODEL], "/none", "/ready")
    }
    assert len(ids) == 3
    assert "x-request-id" not in daemon.ask("POST", PATHS[MODEL], instances(MODEL)).headers


def test_what_the_application_logs_is_one_line_too(daemon: Daemon) -> None:
    daemon.ask("POST", "/echo", GOOD)
    line = lines(daemon)[-1]
    assert (line["event"], line["level"], line["message"]) == (
        "mine",
        "warning",
        "two\nlines and more",
    )


def test_text_is_one_line_whatever_the_path_holds(application: Path) -> None:
    with Daemon(application, ALL, ACCESS_LOG="1") as daemon:
        daemon.ready()
        daemon.ask("GET", "/a%0a--->%20Answering%1b[31m")
        last = daemon.said.splitlines()[-1]
        form = (
            r"---> GET /a%0A---%3E%20Answering%1B%5B31m 404 in \d+\.\d+ ms \(request [0-9a-f]{16}\)"
        )
        assert re.fullmatch(form, last), last


def refused(**streams: Any) -> subprocess.CompletedProcess[bytes]:
    """A daemon that refuses its variables and says so."""
    clean = {key: value for key, value in os.environ.items() if key != "LOG_FORMAT"}
    env = {**clean, "PYTHONPATH": str(ROOT / "builders"), "PORT": "no"}
    return subprocess.run([sys.executable, "-m", "runtime.serve"], env=env, timeout=20, **streams)


def test_a_terminal_gets_text_and_all_else_json() -> None:
    message = "PORT=no: expected a whole number from 1 to 65535"
    piped = json.loads(refused(capture_output=True).stderr)
    assert (piped["event"], piped["level"], piped["message"]) == ("refused", "error", message)
    ours, theirs = pty.openpty()
    assert refused(stderr=theirs, stdout=theirs).returncode == 78
    assert os.read(ours, 1000).decode() == f"predict: {message}\r\n"
    os.close(ours)
    os.close(theirs)


def test_another_format_or_access_log_is_refused(tmp_path: Path) -> None:
    assert (
        start(tmp_path, LOG_FORMAT="xml").stderr
        == "predict: LOG_FORMAT=xml: expected json or text\n"
    )
    assert (
        start(tmp_path, ACCESS_LOG="yes").stderr
        == "predict: ACCESS_LOG=yes: expected a whole number from 0 to 1\n"
    )
