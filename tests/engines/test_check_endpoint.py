"""engines/check_endpoint.py with servers that give correct or wrong answers."""

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from client import fetch
from readiness import GRACE_SECONDS
from support.commands import ROOT, Completed, run
from support.models import MODEL_DIRS, example, setting
from support.network import free_port
from support.terminal import on_terminal

from project.instance_file import instances_text

PROGRAM = ROOT / "engines/check_endpoint.py"
MODEL = MODEL_DIRS[0]
MODEL_NAME = setting(MODEL, "MODEL_NAME")
INSTANCES = [[1, "a"], [2, "b"], [3, "c"]]
EXPECTED = [0, 1, 0]
RIGHT = {"payload": {"predictions": EXPECTED, "labels": [0, 1]}}


class Server(ThreadingHTTPServer):
    """A server that answers /ready with `ready`, and each POST with `answer`.

    Both are pairs of status and body. `answers` has the answers of single paths, by path. `posted`
    is the path and the body of the last POST.
    """

    ready: tuple[int, Any] = (200, {"ready": True})
    answer: tuple[int, Any] = (200, RIGHT)
    answers: Mapping[str, tuple[int, Any]] = {}
    posted: tuple[str, bytes] = ("", b"")


class Handler(BaseHTTPRequestHandler):
    """A handler that sends the answers of its server."""

    server: Server

    def do_GET(self) -> None:
        self.reply(*self.server.ready)

    def do_POST(self) -> None:
        self.server.posted = (self.path, self.rfile.read(int(self.headers["Content-Length"])))
        self.reply(*self.server.answers.get(self.path, self.server.answer))

    def reply(self, status: int, body: Any) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model directory: its environment file and its test instances."""
    directory = tmp_path / "house prices"
    (directory / ".s2i").mkdir(parents=True)
    (directory / ".s2i/environment").write_text("ROUTES=house/predict:app.predict:predict\n")
    (directory / "test").mkdir()
    case = {"payload": {"instances": INSTANCES}, "expected": EXPECTED}
    (directory / "test/test_instances.json").write_text(json.dumps(case))
    return directory


def check(port: int | str, *directories: Path, **variables: str) -> Completed:
    """Run check_endpoint.py, which waits for half a second until the server is ready."""
    env = {"PORT": str(port), "WAIT": "0.5", **variables}
    return run(sys.executable, PROGRAM, *directories, env=env, seconds=30)


def test_the_right_answer_passes_and_is_shown(server: Server, model: Path) -> None:
    done = check(server.server_port, model)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "---> POST /house/predict: 3 predictions, as expected: [0, 1, 0]\n"
    assert server.posted == ("/house/predict", (model / "test/test_instances.json").read_bytes())


def test_without_labels_and_expected_the_count_is_checked(server: Server, model: Path) -> None:
    (model / "test/test_instances.json").write_text(
        json.dumps({"payload": {"instances": INSTANCES}})
    )
    server.answer = (200, {"payload": {"predictions": [7.5, "x", None]}})
    done = check(server.server_port, model)
    assert done.returncode == 0
    assert "as expected" not in done.stdout
    problem = "has no `expected`, so nothing was compared"
    assert f"{problem}. Type make -C house prices expect\n" in done.stdout


def expect(server: Server, model: Path) -> Completed:
    """Run expect.py, which waits for half a second until the server is ready."""
    env = {"PORT": str(server.server_port), "WAIT": "0.5"}
    return run(sys.executable, ROOT / "project/expect.py", model, env=env, seconds=30)


def test_expect_writes_the_predictions_that_are_compared(server: Server, model: Path) -> None:
    file = model / "test/test_instances.json"
    content = {"note": 1, "payload": {"instances": INSTANCES, "x": {}}}
    file.write_text(json.dumps(content))
    done = expect(server, model)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Wrote 3 predictions to house prices/test/test_instances.json: [0, 1, 0]" in done.stdout
    assert json.loads(file.read_text()) == {**content, "expected": EXPECTED}
    assert "as expected" in check(server.server_port, model).stdout
    # Control: another answer is not equal.
    server.answer = (200, {"payload": {"predictions": [1, 1, 1], "labels": [0, 1]}})
    assert check(server.server_port, model).returncode == 1
    assert expect(server, model).returncode == 0
    assert json.loads(file.read_text())["expected"] == [1, 1, 1]


def test_expect_writes_nothing_for_a_wrong_answer(server: Server, model: Path) -> None:
    file = model / "test/test_instances.json"
    before = file.read_bytes()
    for answer in ((400, {"error": {"message": "bad row"}}), (200, {"payload": {}})):
        server.answer = answer
        done = expect(server, model)
        assert done.returncode == 1
        assert "Nothing was written." in done.stderr
    assert file.read_bytes() == before


def test_expect_keeps_the_form_of_committed_instances(model: Path) -> None:
    for name in MODEL_DIRS:
        content = example(name)
        others = {key: value for key, value in content.items() if key != "payload"}
        text = (ROOT / name / "test/test_instances.json").read_text()
        assert instances_text(content["payload"], **others) == text


def test_every_committed_model_is_asked_on_its_own_route(server: Server) -> None:
    for name in MODEL_DIRS:
        server.answer = answers(example(name)["expected"])
        assert check(server.server_port, ROOT / name).returncode == 0

        path = server.posted[0].strip("/")
        assert f"ROUTES={path}:" in (ROOT / name / ".s2i/environment").read_text()


def answers(predictions: Any, **more: Any) -> tuple[int, Any]:
    """Return the answer of a server that makes predictions."""
    return 200, {"payload": {"predictions": predictions, "labels": [0, 1], **more}}


WRONG = {
    "status 500": (
        (500, {"error": "x"}),
        "/house/predict: expected status 200, found 500: {'error': 'x'}",
    ),
    "status 422": ((422, {}), "/house/predict: expected status 200, found 422: {}"),
    "status 201": ((201, RIGHT), f"/house/predict: expected status 200, found 201: {RIGHT}"),
    "too few": (answers([0, 1]), "/house/predict: expected 3 predictions, found [0, 1]"),
    "too many": (
        answers([0, 1, 0, 1]),
        "/house/predict: expected 3 predictions, found [0, 1, 0, 1]",
    ),
    "none": (answers([]), "/house/predict: expected 3 predictions, found []"),
    "no list": (answers("010"), "/house/predict: expected 3 predictions, found 010"),
    "no payload": (
        (200, {"predictions": EXPECTED}),
        "/house/predict: expected 3 predictions, found None",
    ),
    "payload is a list": (
        (200, {"payload": EXPECTED}),
        "/house/predict: expected 3 predictions, found None",
    ),
    "a bare list": ((200, EXPECTED), "/house/predict: expected 3 predictions, found None"),
    "null": ((200, None), "/house/predict: expected 3 predictions, found None"),
    "no such class": (
        answers([0, 1, 2]),
        "/house/predict: expected predictions among [0, 1], found [0, 1, 2]",
    ),
    "class as text": (
        answers(["1"] * 3),
        "/house/predict: expected predictions among [0, 1], found ['1', '1', '1']",
    ),
    "labels no list": (
        answers(EXPECTED, labels=5),
        "/house/predict: expected predictions among 5, found [0, 1, 0]",
    ),
    "labels a text": (
        answers(EXPECTED, labels="01"),
        "/house/predict: expected predictions among 01, found [0, 1, 0]",
    ),
    "unexpected": (
        answers([0, 0, 0]),
        "/house/predict: expected [0, 1, 0] (FILE), found [0, 0, 0]",
    ),
    "error of our server": (
        (503, {"error": {"code": "not_ready", "message": "a.pkl: no such file. Train it."}}),
        "/house/predict: expected status 200, found 503: a.pkl: no such file. Train it.",
    ),
    "HTML": (
        (200, b"<html>"),
        "/house/predict: SERVER/house/predict: status 200, expected JSON, found b'<html>'",
    ),
    "HTML error": (
        (502, b"<h1>Bad"),
        "/house/predict: SERVER/house/predict: status 502, expected JSON, found b'<h1>Bad'",
    ),
    "nothing": (
        (200, b""),
        "/house/predict: SERVER/house/predict: status 200, expected JSON, found b''",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_answer_is_refused(server: Server, model: Path, case: str) -> None:
    server.answer, message = WRONG[case]
    message = message.replace("SERVER", f"http://127.0.0.1:{server.server_port}")
    message = message.replace("FILE", str(model / "test/test_instances.json"))
    done = check(server.server_port, model)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"test-endpoint: {message}\n")


def test_of_two_models_the_second_can_fail(server: Server, model: Path) -> None:
    done = check(server.server_port, model, ROOT / MODEL)
    assert (done.returncode, done.stdout.count("--->")) == (1, 1)
    assert "expected 4 predictions, found [0, 1, 0]" in done.stderr


def test_other_models_are_tested_after_a_failure_and_a_table_ends_the_output(
    server: Server, model: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    server.answers = {f"/{MODEL_NAME}/predict": (503, {"error": {"message": "a\nreason"}})}
    done = check(server.server_port, ROOT / MODEL, broken, model)
    assert done.returncode == 1
    assert done.stdout == "---> POST /house/predict: 3 predictions, as expected: [0, 1, 0]\n"

    width = len(f"/{MODEL_NAME}/predict")
    problem = "can't be read (No such file or directory). Every model needs this file."
    assert done.stderr.splitlines() == [
        f"     {'route':<{width}}  result  reason",
        f"     /{MODEL_NAME}/predict  failed  expected status 200, found 503: a reason",
        f"     {'broken':<{width}}  failed  {broken}/.s2i/environment: {problem}",
        f"     {'/house/predict':<{width}}  passed",
        "test-all: 2 of 3 models failed",
    ]


def test_long_answer_is_truncated(server: Server, model: Path) -> None:
    server.answer = (500, {"error": {"message": "first" + "x" * 1_512_935 + "last"}})
    done = check(server.server_port, model)
    assert done.stderr.startswith(
        "test-endpoint: /house/predict: expected status 200, found 500: firstx"
    )
    assert done.stderr.endswith("xlast\n")
    assert len(done.stderr) < 2_200


def test_a_server_that_is_never_ready_is_given_up_with_its_last_word(
    server: Server, model: Path
) -> None:
    server.ready = (503, {"ready": False})
    done = check(server.server_port, model)
    assert (done.returncode, done.stdout) == (1, "")
    url = f"http://127.0.0.1:{server.server_port}"
    assert done.stderr == (
        f"test-endpoint: {url} is not ready after 0.5 s: {{'ready': False}}. "
        "Read make logs, or set a longer WAIT.\n"
    )
    assert server.posted == ("", b"")


def test_final_reason_of_the_server_ends_the_wait(server: Server, model: Path) -> None:
    message = "models/house.pkl: no such file. Train the model first (make train)."
    server.ready = not_ready(f"/house/predict: {message}")
    server.answer = not_ready(message)
    started = time.monotonic()
    done = check(server.server_port, model, WAIT="20")
    assert time.monotonic() - started < 10
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"test-endpoint: /house/predict: expected status 200, found 503: {message}\n"
    )


def test_rejected_model_of_another_route_does_not_matter(server: Server, model: Path) -> None:
    server.ready = not_ready("/other: models/other.pkl: no such file.")
    assert check(server.server_port, model, WAIT="20").returncode == 0


def not_ready(message: str) -> tuple[int, Any]:
    """Return a predict server's answer while a model is not ready."""
    path, _, reason = message.partition(": ")
    error = {"code": "not_ready", "message": message, "path": None, "routes": {path: reason}}
    return 503, {"error": error}


def test_no_server_at_all_is_reported_at_once(model: Path) -> None:
    port = free_port()
    started = time.monotonic()
    done = check(port, model, WAIT="20")
    assert time.monotonic() - started < 10
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"test-endpoint: nothing listens on http://127.0.0.1:{port}, and no server of this folder "
        "is starting. Start one with make predict or make predict-all.\n"
    )


def test_a_wait_for_any_answer_would_have_taken_all_its_time() -> None:
    """The loop of version 0.1.0, which waits for an answer whatever the reason is."""
    url = f"http://127.0.0.1:{free_port()}/ready"
    started = time.monotonic()
    deadline = started + 4
    while time.monotonic() < deadline:
        with suppress(OSError):
            fetch(url)
        time.sleep(0.1)
    assert time.monotonic() - started >= 4 > GRACE_SECONDS


def test_it_waits_for_a_server_that_becomes_ready(server: Server, model: Path) -> None:
    server.ready = (503, {})
    later = threading.Timer(0.7, lambda: setattr(server, "ready", (200, {})))
    later.start()
    assert check(server.server_port, model, WAIT="20").returncode == 0
    later.join()


def test_progress_is_printed_on_a_terminal_only(server: Server, model: Path) -> None:
    server.ready = not_ready("/house/predict: not loaded yet")
    url = f"http://127.0.0.1:{server.server_port}"
    env = {"PORT": str(server.server_port), "WAIT": "4"}
    with on_terminal(sys.executable, PROGRAM, model, env=env) as program:
        code, output = program.finish()
    assert (code, output.splitlines()[:-1]) == (
        1,
        [f"---> Waiting for {url} (3 of 4 s): /house/predict: not loaded yet"],
    )
    assert check(server.server_port, model, WAIT="4").stdout == ""


def test_ctrl_c_prints_one_line(server: Server, model: Path) -> None:
    server.ready = (503, {})
    env = {"PORT": str(server.server_port), "WAIT": "60"}
    with on_terminal(sys.executable, PROGRAM, model, env=env) as program:
        program.read_until("---> Waiting")
        program.press_ctrl_c()
        code, output = program.finish()
    assert code == 130
    assert output.splitlines()[-1] == "^Ctest-endpoint: interrupted"
    assert "Traceback" not in output


def test_another_program_on_the_port_is_no_traceback(model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        thread = threading.Thread(target=greet, args=(other,))
        thread.start()
        done = check(other.getsockname()[1], model)
        thread.join()
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert done.stderr.startswith("test-endpoint: http://127.0.0.1:")


def greet(listening: socket.socket) -> None:
    """Answer the first client as an SSH server does, then close."""
    client, _ = listening.accept()
    with client:
        client.recv(1000)
        client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    listening.close()


def break_instances(text: str) -> Callable[[Path], object]:
    """Return a function that writes `text` as a model's test instances."""
    return lambda model: (model / "test/test_instances.json").write_text(text)


BROKEN = {
    "no instances file": lambda model: (model / "test/test_instances.json").unlink(),
    "instances not JSON": break_instances("{"),
    "instances without payload": break_instances('{"instances": []}'),
    "instances a list": break_instances("[1]"),
    "no environment": lambda model: (model / ".s2i/environment").unlink(),
    "bad environment": lambda model: (model / ".s2i/environment").write_text("ROUTES=x\n"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_model_directory_that_lacks_something_is_named(
    server: Server, model: Path, case: str
) -> None:
    BROKEN[case](model)
    done = check(server.server_port, model)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert done.stderr.startswith("test-endpoint: ") and str(model) in done.stderr


@pytest.mark.parametrize(
    "port", ["abc", "0", "65536", "-1", "²", "80@example.invalid", "1 2", "1\n2", "1/x"]
)
def test_a_bad_port_is_named_at_once(model: Path, port: str) -> None:
    done = check(port, model, WAIT="2")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"PORT={port}: expected a whole number from 1 to 65535\n"


@pytest.mark.parametrize("wait", ["soon", "nan", "-1", "inf", "1e999", "5 s"])
def test_a_bad_wait_is_named(server: Server, model: Path, wait: str) -> None:
    done = check(server.server_port, model, WAIT=wait)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"WAIT={wait}: expected a number of seconds, 0 or more\n"


def test_wait_of_zero_accepts_a_server_that_is_ready(server: Server, model: Path) -> None:
    assert check(server.server_port, model, WAIT="0").returncode == 0


def test_no_proxy_is_used(server: Server, model: Path) -> None:
    proxy = f"http://127.0.0.1:{free_port()}"
    assert check(server.server_port, model, http_proxy=proxy, HTTP_PROXY=proxy).returncode == 0


def test_without_a_model_directory_it_prints_its_usage() -> None:
    done = check(free_port())
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: check_endpoint.py MODEL_DIR..." in done.stderr
