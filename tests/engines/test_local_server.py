"""engines/local_server.py: one server per file, and no signal to another program.

The servers of these tests are small programs. tests/engines/test_local_engine.py starts the real
one.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from local_server import Server, find
from support.commands import ROOT, Completed, output_of, run, wait_until
from support.network import free_port

PROGRAM = ROOT / "engines/local_server.py"
# Answers /health, and lists two routes of which one is not ready.
ANSWERS = """
import http.server, json, sys

PAGES = {
    "/health": (200, {"status": "alive"}),
    "/openapi.json": (200, {"paths": {"/a": {"post": {}}, "/b": {"post": {}}, "/c": {"get": {}}}}),
    "/ready": (503, {"error": {"code": "not_ready", "routes": {"/b": "no such file"}}}),
}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, page = PAGES[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(page).encode())

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
SLEEP = "import time; time.sleep(60)"


def local_server(*arguments: object, **variables: str) -> Completed:
    """Run local_server.py."""
    return run(sys.executable, PROGRAM, *arguments, env=variables)


def start(file: Path, program: str, port: int, **variables: str) -> Completed:
    """Start a Python program as the server of `file`."""
    command = (sys.executable, "-c", program, port)
    return local_server("start", file, f"http://127.0.0.1:{port}", *command, **variables)


@contextmanager
def another_program() -> Iterator[int]:
    """Run a program that is not a server; yield its process id."""
    program = subprocess.Popen([sys.executable, "-c", SLEEP])
    try:
        yield program.pid
    finally:
        program.kill()
        program.wait()


def is_alive(process: int) -> bool:
    """Return whether a child process has not ended."""
    return os.waitpid(process, os.WNOHANG) == (0, 0)


def test_start_prints_the_address_and_the_routes_and_stop_prints_what_it_stopped(
    tmp_path: Path,
) -> None:
    file = tmp_path / "house"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    assert output_of(start(file, ANSWERS, port)) == (
        f"---> house answers on {url}\n"
        "     POST /a  ready\n"
        "     POST /b  not ready: no such file\n"
        "---> make logs shows its log. make stop stops it.\n"
    )
    server = find(file)
    assert server and server.url == url

    output = output_of(local_server("stop", file))
    assert output == f"---> Stopped house (process {server.process}, {url})\n"
    assert find(file) is None


def test_a_second_start_is_refused_and_the_first_server_stays(tmp_path: Path) -> None:
    file = tmp_path / "house"
    output_of(start(file, ANSWERS, free_port()))
    first = find(file)
    for verb in ("start", "run"):
        done = local_server(verb, file, "http://127.0.0.1:1", sys.executable, "-c", SLEEP)
        assert (done.returncode, done.stdout) == (69, "")
        assert done.stderr == "predict: house is already running. make stop stops it.\n"
    assert find(file) == first
    output_of(local_server("stop", file))


def test_a_server_that_ends_is_a_failure_with_the_end_of_its_log(tmp_path: Path) -> None:
    program = "print(*range(30), sep='\\n'); raise SystemExit(78)"
    done = start(tmp_path / "house", program, free_port())
    assert (done.returncode, done.stdout) == (78, "")
    problem = "predict: house ended before it answered. The end of its log is above."
    assert done.stderr.splitlines() == [*map(str, range(10, 30)), problem]


def test_end_of_a_log_is_text_if_the_log_is_text(tmp_path: Path) -> None:
    event = {"time": "2026-11-24T10:11:12+00:00", "level": "error", "message": "PORT is taken"}
    program = f"print({json.dumps(event)!r}); raise SystemExit(69)"
    text, unchanged = (
        start(tmp_path / "house", program, free_port(), LOG_FORMAT=form, TZ="UTC").stderr
        for form in ("text", "json")
    )
    assert text.splitlines()[0] == "10:11:12 error: PORT is taken"
    assert unchanged.splitlines()[0] == json.dumps(event)


def test_a_server_that_a_signal_ends_is_a_failure(tmp_path: Path) -> None:
    done = start(tmp_path / "house", "import os; os.kill(os.getpid(), 9)", free_port())
    assert (done.returncode, done.stdout) == (1, "")


def test_a_server_that_never_answers_is_a_failure_after_wait_seconds(tmp_path: Path) -> None:
    file = tmp_path / "house"
    port = free_port()
    done = start(file, SLEEP, port, WAIT="1")
    assert (done.returncode, done.stdout) == (1, "")
    url = f"http://127.0.0.1:{port}/health"
    problem = f"predict: house runs but does not answer {url} after 1 s."
    assert done.stderr.startswith(problem)
    output_of(local_server("stop", file))


@pytest.mark.parametrize("wait", ["soon", "nan", "-1"])
def test_a_wait_that_is_not_valid_is_reported_before_the_server_starts(
    tmp_path: Path, wait: str
) -> None:
    file = tmp_path / "house"
    done = start(file, ANSWERS, free_port(), WAIT=wait)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"WAIT={wait}: expected a number of seconds, 0 or more\n"
    assert list(tmp_path.iterdir()) == []


def test_stop_sends_no_signal_to_a_program_with_the_number_of_a_server_that_ended(
    tmp_path: Path,
) -> None:
    file = tmp_path / "house"
    with another_program() as process:
        (tmp_path / "house.pid").write_text(f"{process} http://127.0.0.1:1\n")
        done = local_server("stop", file)
        assert (done.returncode, done.stdout) == (69, "")
        advice = "Start it with make predict or make predict-all."
        assert done.stderr == f"stop: house is not running. {advice}\n"
        assert is_alive(process)


def test_control_a_stop_that_trusts_the_file_ends_that_program(tmp_path: Path) -> None:
    file = tmp_path / "house.pid"
    with another_program() as process:
        file.write_text(f"{process} http://127.0.0.1:1\n")
        output_of(run("sh", "-c", 'kill "$(cut -d" " -f1 "$0")"', file))
        assert wait_until(lambda: not is_alive(process), 10)


def test_a_server_whose_process_was_killed_is_not_found(tmp_path: Path) -> None:
    file = tmp_path / "house"
    output_of(start(file, ANSWERS, free_port()))
    server = find(file)
    assert server
    os.kill(server.process, 9)
    assert wait_until(lambda: find(file) is None, 10)
    # The file still has its process id.
    assert (tmp_path / "house.pid").read_text().startswith(f"{server.process} ")


def test_children_of_the_server_do_not_hold_its_lock(tmp_path: Path) -> None:
    file = tmp_path / "house"
    program = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}], close_fds=False)\n"
        "print(child.pid, flush=True)\n" + ANSWERS
    )
    output_of(start(file, program, free_port()))
    server = find(file)
    assert isinstance(server, Server)
    os.kill(server.process, 9)
    assert wait_until(lambda: find(file) is None, 10)
    child = int((tmp_path / "house.log").read_text().splitlines()[0])
    os.kill(child, 9)


@pytest.mark.parametrize(
    "arguments", [[], ["stop"], ["start", "f"], ["run", "f", "u"], ["end", "f"], ["stop", "f", "g"]]
)
def test_wrong_arguments_print_the_usage(arguments: list[str]) -> None:
    done = local_server(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: local_server.py run FILE URL COMMAND..." in done.stderr
