"""make predict RELOAD=1 serves edits, and keeps the last working version."""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from support.clones import add_model, make_clone
from support.commands import make, output_of, wait_until, without_programs
from support.models import FASTEST, file_digest, replace_model_file, setting, two_versions
from support.network import free_port, is_listening
from support.terminal import on_terminal

# The limit that the documentation promises, and the time in which nothing may change.
SECONDS = 2
UNCHANGED_SECONDS = 2
MAKEFILE = """MODEL_NAME := house
DATASET_NAME := data/no.csv
CONTAINER_NAME := house
include ../model.mk
"""
PREDICT = "from utils.answer import ANSWER\n\n\ndef predict(msg):\n    return {'answer': %s}\n"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A clone with a small model in `house`, which answers with a name of utils/."""
    clone = make_clone(tmp_path)
    add_model(clone, Makefile=MAKEFILE, **{"predict.py": PREDICT % "ANSWER"})
    (clone / "utils/answer.py").write_text("ANSWER = 1\n")
    return clone


class Reloading:
    """A server with RELOAD=1."""

    def __init__(self, clone: Path, port: int, image: str):
        self.clone = clone
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.file = clone / ".local/run" / image

    def answer(self) -> object:
        """Return the answer of the model in `house`."""
        response = requests.post(f"{self.url}/house", json={"payload": {}}, timeout=20)
        return response.json()["payload"]["answer"]

    def log(self) -> str:
        """Return the log of the server and its watcher."""
        return self.file.with_name(f"{self.file.name}.log").read_text()

    def pid(self) -> int:
        """Return the process id of the server."""
        return int(self.file.with_name(f"{self.file.name}.pid").read_text().split()[0])

    def watcher(self) -> int:
        """Return the process id of the watcher."""
        for file in Path("/proc").glob("[0-9]*/status"):
            parent = f"PPid:\t{self.pid()}\n"
            command = file.with_name("cmdline")
            if parent in file.read_text() and b"reload.py" in command.read_bytes():
                return int(file.parent.name)
        raise AssertionError("no watcher")

    def seconds_until(self, answer: object) -> float:
        """Return how long the server needs to give an answer."""
        started = time.monotonic()
        wait_until(lambda: self.answer() == answer, 20)
        return time.monotonic() - started


@contextmanager
def reloading(clone: Path, directory: str = "house", **variables: str) -> Iterator[Reloading]:
    """Serve a model directory, or all of them, with RELOAD=1."""
    port = free_port()
    target = "predict-all" if directory == "all" else "predict"
    environment = {"ENGINE": "local", "RELOAD": "1", "DETACH": "1", "PORT": port, **variables}
    output_of(make(clone, directory, target, **environment))
    image = f"{setting(str(clone / directory), 'CONTAINER_NAME')}-predict"
    server = Reloading(clone, port, image)
    try:
        yield server
    finally:
        make(clone, directory, "stop", ENGINE="local")


def is_running(process: int) -> bool:
    """Return whether a process has not ended."""
    status = Path(f"/proc/{process}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


@pytest.mark.serial
def test_an_edit_is_served_within_two_seconds_without_a_lost_request(house: Path) -> None:
    failures: list[Exception] = []
    stopped = threading.Event()

    def ask(server: Reloading) -> None:
        while not stopped.wait(0.005):
            try:
                server.answer()
            except (requests.RequestException, KeyError) as error:
                failures.append(error)

    with reloading(house) as server:
        client = threading.Thread(target=ask, args=(server,))
        client.start()
        (house / "house/predict.py").write_text(PREDICT % "'predict.py'")
        first = server.seconds_until("predict.py")
        (house / "house/predict.py").write_text(PREDICT % "ANSWER")
        (house / "utils/answer.py").write_text("ANSWER = 'utils'\n")
        second = server.seconds_until("utils")
        stopped.set()
        client.join()
        log = server.log()

    assert max(first, second) <= SECONDS
    assert failures == []
    assert log.startswith("---> Reloading: the server uses edits of house/, utils/, common_utils/")
    assert "---> Reloaded after an edit of house/predict.py\n" in log
    # The notice of a crashed worker is about something else.
    assert "This worker replaces it" not in log


def test_a_server_without_reload_ignores_an_edit(house: Path) -> None:
    with reloading(house, RELOAD="", BUILD="1") as server:
        (house / "house/predict.py").write_text(PREDICT % "2")
        time.sleep(UNCHANGED_SECONDS)
        assert (server.answer(), "Reloading" in server.log()) == (1, False)


BROKEN = {
    "a syntax error": ("def predict(:\n", 'File "house/predict.py", line 1\n'),
    "a failed import": ("1 / 0\n", 'File "house/predict.py", line 1, in <module>\n'),
    "a missing module": ("import no_such\n", "No module named 'no_such'"),
    "no function": ("", "house.predict has no function predict"),
}


@pytest.mark.serial
def test_a_broken_edit_is_printed_and_the_last_version_answers(house: Path) -> None:
    file = house / "house/predict.py"
    with reloading(house) as server:
        for text, expected in BROKEN.values():
            before = len(server.log())
            file.write_text(text)
            wait_until(lambda start=before: "Not reloaded" in server.log()[start:], 10)
            report = server.log()[before:]
            assert expected.replace("house.", "") in report.replace(
                "finance_income_prediction.", ""
            )
            assert "importlib" not in report
            assert report.endswith("Not reloaded. The server keeps the last working version.\n")
            assert server.answer() == 1
        file.write_text(PREDICT % "3")
        assert server.seconds_until(3) <= SECONDS


def test_new_requirements_need_a_new_start(house: Path) -> None:
    with reloading(house) as server:
        (house / "house/requirements_predict.txt").write_text("six==1.17.0\n")
        wait_until(lambda: "Stop the server, and start it again" in server.log(), 10)
        assert "---> requirements_predict.txt changed." in server.log()


def test_the_next_build_does_not_take_a_reloaded_image_for_an_old_one(house: Path) -> None:
    file = house / "house/predict.py"
    with reloading(house) as server:
        file.write_text(PREDICT % "2")
        server.seconds_until(2)
    file.write_text(PREDICT % "ANSWER")
    with reloading(house) as server:
        assert server.answer() == 1


@pytest.mark.serial
def test_the_combined_server_reloads_too(house: Path) -> None:
    makefile = house / "all/Makefile"
    makefile.write_text(re.sub("MODEL_DIRS := .*", "MODEL_DIRS := house", makefile.read_text()))
    with reloading(house, "all") as server:
        (house / "house/predict.py").write_text(PREDICT % "2")
        assert server.seconds_until(2) <= SECONDS


@pytest.mark.serial
def test_a_newly_trained_model_is_served_within_two_seconds(trained: Path, clone: Path) -> None:
    name = setting(FASTEST, "MODEL_NAME")
    first, second = two_versions(trained, clone, name)
    file = clone / "models" / f"{name}.pkl"
    replace_model_file(file, first)
    with reloading(clone, FASTEST) as server:
        assert file_digest(first) in server.log()
        started = time.monotonic()
        replace_model_file(file, second)
        wait_until(lambda: file_digest(second) in server.log(), 10)
        assert time.monotonic() - started <= SECONDS


def test_no_process_is_left_after_a_stop_a_kill_or_ctrl_c(house: Path) -> None:
    with reloading(house) as server:
        pids = [server.pid(), server.watcher()]
        output_of(make(house, "house", "stop", ENGINE="local"))
        assert not any(map(is_running, pids))
        assert not list((house / ".local/building").iterdir())

    with reloading(house) as server:
        watcher = server.watcher()
        os.kill(server.pid(), signal.SIGKILL)
        wait_until(lambda: not is_running(watcher), 5)

    port = free_port()
    environment = {"ENGINE": "local", "RELOAD": "1", "PORT": str(port)}
    with on_terminal("make", "-s", "predict", cwd=house / "house", env=environment) as program:
        program.read_until("Answering POST")
        watcher = Reloading(house, port, "house-predict").watcher()
        program.press_ctrl_c()
        program.finish()
        wait_until(lambda: not is_running(watcher), 5)
        assert not is_listening(port)


def test_a_server_whose_watcher_was_killed_serves_and_stops(house: Path) -> None:
    with reloading(house) as server:
        os.kill(server.watcher(), signal.SIGKILL)
        assert server.answer() == 1
        output_of(make(house, "house", "stop", ENGINE="local"))
        assert not is_listening(server.port)


def test_docker_has_no_reload(house: Path, tmp_path: Path) -> None:
    programs = {"docker": "exit 0", "s2i": "exit 0"}
    path = without_programs(tmp_path / "bin", programs)
    done = make(house, "house", "predict", ENGINE="docker", RELOAD="1", PATH=path)
    message = "run.sh: RELOAD=1 needs the local engine, found docker. Set ENGINE=local.\n"
    assert message in done.stderr
