"""The log of applications that change logging, stdout or stderr.

The server's own events must be logged. The control is the logging of the first version.
"""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.applications import PYTHONPATH
from support.commands import clean_environment, wait_until
from support.logging_habits import CONFIGURE, FIRST_VERSION, HABITS, IMPORTS, SILENCING
from support.network import raw_request, read_last_response
from support.server import Server

BODY = b'{"payload": 1}'
ROUTES = "quiet:app:predict,configure:app:configure,note:app:note"
NOTES = """
LOG = logging.getLogger("mine")

def note(msg):
    for level in ("debug", "info", "warning", "error"):
        getattr(LOG, level)("message of %s", level)
    return {}
"""


def serve(directory: Path, at_import: str, in_function: str = "pass", **variables: str) -> Server:
    """Start a server whose application runs these statements."""
    body = in_function.replace("\n", "\n    ")
    application = (
        f"{IMPORTS}{at_import}\n{NOTES}\n"
        "def predict(msg):\n    return {'a': 1 / 0}\n\n"
        f"def configure(msg):\n    {body}\n    return {{}}\n"
    )
    (directory / "app.py").write_text(application)
    settings = {"LOG_FORMAT": "json", "PYTHONPATH": PYTHONPATH, **variables}
    return Server(directory, ROUTES, **settings)


def json_lines(server: Server) -> list[dict[str, Any]]:
    """Return the log; every line must be JSON."""
    return [json.loads(line) for line in server.output.splitlines()]


def assert_events_are_logged(server: Server) -> None:
    """Let a function fail, send invalid HTTP, and stop the server; check its log."""
    response = server.post("/quiet", BODY)
    assert response.status_code == 500
    with server.connect(raw_request("GET / HTTP/9.9")) as connection:
        assert read_last_response(connection).status_code == 400
    os.kill(server.worker_pids()[0], signal.SIGKILL)
    wait_until(lambda: "worker replaced" in server.output, 5)
    wait_until(lambda: server.status() == 200, 5)
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0

    lines = [json.loads(line) for line in server.output.splitlines() if line.startswith("{")]
    events = [line["event"] for line in lines]
    for event in ("start", "ready", "failure", "uvicorn.error", "worker replaced", "stop"):
        assert event in events, server.output
    failure = lines[events.index("failure")]
    assert failure["request"] == response.headers["X-Request-Id"]
    assert "ZeroDivisionError" in failure["traceback"]


@pytest.mark.parametrize("name", HABITS)
def test_server_logs_its_events_whatever_the_application_does(tmp_path: Path, name: str) -> None:
    with serve(tmp_path, HABITS[name]) as server:
        server.wait_until_ready()
        assert_events_are_logged(server)


@pytest.mark.parametrize("name", list(HABITS)[::3])
def test_server_logs_its_events_after_a_function_changed_logging(tmp_path: Path, name: str) -> None:
    with serve(tmp_path, "", HABITS[name]) as server:
        server.wait_until_ready()
        assert server.post("/configure", BODY).status_code == 200
        assert_events_are_logged(server)


@pytest.mark.parametrize("name", SILENCING)
def test_logging_of_the_first_version_loses_an_event(tmp_path: Path, name: str) -> None:
    assert "a failure" not in output_of_first_version(tmp_path, SILENCING[name])


def test_logging_of_the_first_version_logs_an_event(tmp_path: Path) -> None:
    assert "a failure" in output_of_first_version(tmp_path, "")


def output_of_first_version(directory: Path, statements: str) -> str:
    """Return what the first version's logging writes after some statements."""
    command = [sys.executable, "-c", FIRST_VERSION % statements]
    done = subprocess.run(
        command, cwd=directory, env=clean_environment(), capture_output=True, text=True, timeout=20
    )
    # A traceback of an error in `logging` quotes the program.
    return re.sub("--- Logging error ---.*", "", done.stdout + done.stderr, flags=re.DOTALL)


LEVELS = ["debug", "info", "warning", "error"]


@pytest.mark.parametrize(
    ("at_import", "variables", "expected"),
    [
        ("", {}, LEVELS[2:]),
        ("", {"LOG_LEVEL": "debug"}, LEVELS),
        ("", {"LOG_LEVEL": "INFO"}, LEVELS[1:]),
        ("", {"LOG_LEVEL": "error"}, LEVELS[3:]),
        ("logging.getLogger('mine').setLevel(logging.DEBUG)", {}, LEVELS),
        ("logging.getLogger().setLevel(logging.INFO)", {"LOG_LEVEL": "error"}, LEVELS[1:]),
        ("logging.root.handlers.clear()", {}, LEVELS[2:]),
        ("logging.basicConfig(level=logging.INFO, force=True)", {}, LEVELS[1:]),
        ("logging.basicConfig(stream=sys.stdout, level='DEBUG', force=True)", {}, LEVELS),
        ("logging.basicConfig(filename='/dev/stderr', level='DEBUG', force=True)", {}, LEVELS),
        ("logging.basicConfig(stream=open(1, 'w', closefd=False), force=True)", {}, LEVELS[2:]),
        (CONFIGURE, {}, LEVELS[1:]),
        (f"{CONFIGURE}\nsys.stderr.close()", {}, LEVELS[1:]),
        ("logging.disable(logging.INFO)", {"LOG_LEVEL": "debug"}, LEVELS[2:]),
        ("logging.shutdown()", {}, LEVELS[2:]),
    ],
)
def test_messages_of_the_application_are_json_at_the_level_that_it_sets(
    tmp_path: Path, at_import: str, variables: dict[str, str], expected: list[str]
) -> None:
    with serve(tmp_path, at_import, **variables) as server:
        server.wait_until_ready()
        assert server.post("/note", BODY).status_code == 200
        lines = [line for line in json_lines(server) if line["event"] == "mine"]

    assert [line["level"] for line in lines] == expected
    assert [line["message"] for line in lines] == [f"message of {level}" for level in expected]


def test_messages_are_json_after_a_function_configured_logging(tmp_path: Path) -> None:
    function = "logging.basicConfig(format='own %(message)s', level='INFO', force=True)"
    with serve(tmp_path, "", function) as server:
        server.wait_until_ready()
        for path in ("/configure", "/note"):
            assert server.post(path, BODY).status_code == 200
        lines = [line for line in json_lines(server) if line["event"] == "mine"]
    assert [line["level"] for line in lines] == LEVELS[1:]


def test_handlers_of_the_application_for_files_and_memory_stay(tmp_path: Path) -> None:
    handlers = (
        "BUFFER = io.StringIO()\n"
        "for handler in (logging.FileHandler('own.log'), logging.StreamHandler(BUFFER)):\n"
        "    handler.setFormatter(logging.Formatter('own %(message)s'))\n"
        "    logging.root.addHandler(handler)"
    )
    with serve(tmp_path, handlers, "LOG.error(BUFFER.getvalue())") as server:
        server.wait_until_ready()
        for path in ("/note", "/configure"):
            assert server.post(path, BODY).status_code == 200
        lines = [line for line in json_lines(server) if line["event"] == "mine"]

    own = "own message of warning\nown message of error\n"
    assert (tmp_path / "own.log").read_text().startswith(own)
    assert [line["message"] for line in lines] == ["message of warning", "message of error", own]


def test_exceptions_warnings_and_wrong_arguments_are_one_line(tmp_path: Path) -> None:
    function = (
        "try: 1 / 0\n"
        "except ZeroDivisionError: LOG.exception('it failed')\n"
        "LOG.error('%d rows', 'no')\n"
        "LOG.error('where', stack_info=True)\n"
        "warnings.warn('old')"
    )
    with serve(tmp_path, "", function) as server:
        server.wait_until_ready()
        assert server.post("/configure", BODY).status_code == 200
        lines = json_lines(server)[-4:]

    assert [line["event"] for line in lines] == ["mine", "mine", "mine", "py.warnings"]
    failed, arguments, where, warning = lines
    assert failed["message"] == "it failed"
    assert failed["traceback"].endswith("ZeroDivisionError: division by zero\n")
    assert arguments["message"] == "%d rows ('no',)"
    assert "LOG.error('where'" in where["traceback"]
    assert "UserWarning: old" in warning["message"]


def test_text_log_has_the_messages_of_the_application(tmp_path: Path) -> None:
    with serve(tmp_path, CONFIGURE, LOG_FORMAT="text") as server:
        server.wait_until_ready()
        server.post("/note", BODY)
        lines = [line for line in server.output.splitlines() if line.startswith("mine")]
    assert lines == [f"mine: message of {level}" for level in LEVELS[1:]]
