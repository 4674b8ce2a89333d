"""engines/check_endpoint.py with servers that give correct or wrong answers."""

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.commands import ROOT, Completed, run
from support.models import MODEL_DIRS, example
from support.network import free_port

MODEL = MODEL_DIRS[0]
INSTANCES = [[1, "a"], [2, "b"], [3, "c"]]
EXPECTED = [0, 1, 0]
RIGHT = {"payload": {"predictions": EXPECTED, "labels": [0, 1]}}


class Server(ThreadingHTTPServer):
    """A server that answers /ready with `ready`, and each POST with `answer`.

    Both are pairs of status and body. `posted` is the path and the body of the last POST.
    """

    ready: tuple[int, Any] = (200, {"ready": True})
    answer: tuple[int, Any] = (200, RIGHT)
    posted: tuple[str, bytes] = ("", b"")


class Handler(BaseHTTPRequestHandler):
    """A handler that sends the answers of its server."""

    server: Server

    def do_GET(self) -> None:
        self.reply(*self.server.ready)

    def do_POST(self) -> None:
        self.server.posted = (self.path, self.rfile.read(int(self.headers["Content-Length"])))
        self.reply(*self.server.answer)

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
    script = ROOT / "engines/check_endpoint.py"
    return run(sys.executable, script, *directories, env=env, seconds=30)


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
    assert check(server.server_port, model).returncode == 0


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
    "HTML": ((200, b"<html>"), "SERVER/house/predict: status 200, expected JSON, found b'<html>'"),
    "HTML error": (
        (502, b"<h1>Bad"),
        "SERVER/house/predict: status 502, expected JSON, found b'<h1>Bad'",
    ),
    "nothing": ((200, b""), "SERVER/house/predict: status 200, expected JSON, found b''"),
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


def test_a_server_that_is_never_ready_is_given_up_with_its_last_word(
    server: Server, model: Path
) -> None:
    server.ready = (503, {"ready": False})
    done = check(server.server_port, model)
    assert (done.returncode, done.stdout) == (1, "")
    url = f"http://127.0.0.1:{server.server_port}"
    assert done.stderr == (
        f"test-endpoint: {url} is not ready after 0.5 s: {{'ready': False}}. "
        "Start it with make predict.\n"
    )
    assert server.posted == ("", b"")


def test_no_server_at_all_is_reported(model: Path) -> None:
    port = free_port()
    done = check(port, model)
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"test-endpoint: http://127.0.0.1:{port} is not ready after 0.5 s: "
    )
    assert done.stderr.endswith("refused>. Start it with make predict.\n")


def test_it_waits_for_a_server_that_becomes_ready(server: Server, model: Path) -> None:
    server.ready = (503, {})
    later = threading.Timer(0.7, lambda: setattr(server, "ready", (200, {})))
    later.start()
    assert check(server.server_port, model, WAIT="20").returncode == 0
    later.join()


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


@pytest.mark.parametrize("wait", ["soon", "nan"])
def test_a_bad_wait_is_named(server: Server, model: Path, wait: str) -> None:
    done = check(server.server_port, model, WAIT=wait)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert done.stderr.startswith("test-endpoint: ") and wait in done.stderr


def test_no_proxy_is_used(server: Server, model: Path) -> None:
    proxy = f"http://127.0.0.1:{free_port()}"
    assert check(server.server_port, model, http_proxy=proxy, HTTP_PROXY=proxy).returncode == 0


def test_without_a_model_directory_it_prints_its_usage() -> None:
    done = check(free_port())
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: check_endpoint.py MODEL_DIR..." in done.stderr
