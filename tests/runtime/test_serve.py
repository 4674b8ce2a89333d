"""The daemon as a process: start and its refusals, model files that come and go, signals, workers."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import MODEL_DIRS, ROOT, free_port, run, setting
from runtime.serve import PredictServer
from runtime.settings import read_settings
from support.daemon import PATHS, ROUTES, Daemon, instances, until

from utils.encode_decode import MAGIC, init_model, pickle_model

APPLICATION = """
import os
import time

NAMES = [os.environ.get(name) for name in ("MODElNAME", "MODEL_NAME")]
CONTENT = open("models/own.txt").read()

def names(msg):
    return {"names": NAMES, "content": CONTENT, "pid": os.getpid()}

def sleep(msg):
    time.sleep(msg.payload)
    return {"slept": msg.payload}
"""
FOREIGN = "names:app:names,sleep:app:sleep"
GOOD = b'{"payload": 1}'
MODEL = MODEL_DIRS[0]


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """An application that has nothing of this repository."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "own.txt").write_text("its own")
    (tmp_path / "app.py").write_text(APPLICATION)
    return tmp_path


@pytest.fixture
def own(foreign: Path, trained: Path) -> Path:
    """The same with copies of the trained models."""
    for file in (trained / "models").glob("*.pkl"):
        shutil.copy2(file, foreign / "models")
    return foreign


def model_file(directory: Path, model: str = MODEL) -> Path:
    """Where a model directory's model is."""
    return directory / "models" / f"{setting(model, 'MODEL_NAME')}.pkl"


def digest(file: Path) -> str:
    """The digest in a model file's trailer."""
    return file.read_bytes()[-40:-8].hex()


def start(
    directory: Path, routes: str = FOREIGN, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Starts a daemon that is to refuse, and waits for its end."""
    env = {
        "PYTHONPATH": str(ROOT / "builders"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ROUTES": routes,
        "HOST": "127.0.0.1",
    }
    env |= {"PORT": str(free_port()), "LOG_FORMAT": "text", **variables}
    return run(sys.executable, "-m", "runtime.serve", cwd=directory, env=env, seconds=20)


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ("a:none:f", "route a: importing none failed: ModuleNotFoundError(\"No module named 'none'\")"),
        ("a:app.none:f", "route a: importing app.none failed: ModuleNotFoundError(\"No module named 'app.none'; "
         "'app' is not a package\")"),
        ("a:app:none", "route a: app has no function none"),
        ("a:app:NAMES", "route a: app has no function NAMES"),
        ("names:app:names,b:app:none", "route b: app has no function none"),
        ("", "ROUTES is not set; expected route:module:function, several joined by commas"),
        ("ready:app:names", "ROUTES: entry 'ready:app:names': /ready is reserved for the server; choose another route"),
    ],
)  # fmt: skip
def test_a_route_that_cannot_be_served_is_refused(foreign: Path, routes: str, message: str) -> None:
    done = start(foreign, routes)
    assert (done.returncode, done.stdout, done.stderr.splitlines()[-1]) == (
        78,
        "",
        f"predict: {message}",
    )


@pytest.mark.parametrize("source", ["1 / 0", "def f(:", "raise SystemExit(0)", "import no_such"])
def test_an_application_that_fails_on_import_is_refused_with_its_traceback(
    foreign: Path, source: str
) -> None:
    (foreign / "app.py").write_text(f"{source}\n")
    done = start(foreign)
    assert (done.returncode, done.stdout) == (78, "")
    assert "Traceback (most recent call last):\n" in done.stderr and "app.py" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("predict: route names: importing app failed: ")


def test_a_taken_port_is_named_at_once(foreign: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        started = time.monotonic()
        done = start(foreign, PORT=str(port))
        assert time.monotonic() - started < 3
    text = f"predict: 127.0.0.1:{port}: Address already in use; set another PORT\n"
    assert (done.returncode, done.stdout, done.stderr) == (69, "", text)


def test_a_host_that_is_none_of_this_machines_is_named(foreign: Path) -> None:
    for host in ("no.such.host.invalid", "192.0.2.1"):
        done = start(foreign, HOST=host)
        assert done.returncode in (69, 78) and host in done.stderr and "HOST" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_time_to_leave_is_longer_than_the_drain() -> None:
    for seconds in ("0", "1", "60", "600"):
        server = PredictServer(read_settings({"DRAIN_SECONDS": seconds}), app=None)
        assert server.cfg.graceful_timeout >= int(seconds) + 30


def test_a_foreign_application_is_ready_once_imported(foreign: Path) -> None:
    with Daemon(foreign, FOREIGN, PYTHONPATH=str(ROOT / "builders")) as daemon:
        assert daemon.ready(10).ask("GET", "/ready").json == {
            "status": "ready",
            "routes": {"/names": {}, "/sleep": {}},
        }
        payload = daemon.ask("POST", "/names", GOOD).json["payload"]
        assert (payload["content"], payload["names"]) == ("its own", [None, None])
        assert payload["pid"] in daemon.workers() and len(daemon.workers()) == 1
        address = f"http://127.0.0.1:{daemon.port}"
        answering = "".join(
            f"---> Answering POST {address}/{name}\n" for name in ("names", "sleep")
        )
        assert daemon.said == f"---> Starting 1 worker\n{answering}"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"MODElNAME": "a"}, ["a", "a"]),
        ({"MODEL_NAME": "b"}, ["b", "b"]),
        ({"MODElNAME": "a", "MODEL_NAME": "b"}, ["a", "b"]),
        ({"MODElNAME": ""}, ["", None]),
    ],
)
def test_both_names_of_the_model_are_set_before_the_import(
    foreign: Path, variables: dict[str, str], expected: list[str | None]
) -> None:
    with Daemon(foreign, FOREIGN, **variables) as daemon:
        assert daemon.ready(10).ask("POST", "/names", GOOD).json["payload"]["names"] == expected


def renamed(directory: Path, name: str, source: str, **changes: Any) -> str:
    """Writes models/NAME.pkl with what the model `source` holds, and returns its digest."""
    contents = init_model(source, directory / "models")
    contents.pop("digest")
    return digest(pickle_model({**contents, "modelName": name, **changes}, directory / "models"))


@pytest.mark.parametrize("variable", ["MODElNAME", "MODEL_NAME"])
def test_the_variable_names_another_model_for_a_single_route(own: Path, variable: str) -> None:
    other = renamed(own, "another", setting(MODEL, "MODEL_NAME"))
    with Daemon(own, ROUTES[MODEL], **{variable: "another"}) as daemon:
        shown = daemon.ready().ask("GET", "/ready").json["routes"]
        assert shown == {PATHS[MODEL]: {"model": "another", "digest": other}}


def test_no_variable_renames_the_models_of_several_routes(own: Path) -> None:
    renamed(own, "another", setting(MODEL, "MODEL_NAME"))
    with Daemon(
        own, ",".join(ROUTES.values()), MODElNAME="another", MODEL_NAME="another"
    ) as daemon:
        shown = daemon.ready().ask("GET", "/ready").json["routes"]
        assert {path: info["model"] for path, info in shown.items()} == {
            PATHS[model]: setting(model, "MODEL_NAME") for model in MODEL_DIRS
        }


def test_a_missing_model_is_named_until_its_file_is_there(own: Path) -> None:
    file = model_file(own)
    content = file.read_bytes()
    file.unlink()
    reason = f"models/{file.name}: no such file; train the model first (make train)"
    with Daemon(own, ",".join(ROUTES.values())) as daemon:
        until(lambda: daemon.status("/health") == 200, 20)
        ready = daemon.ask("GET", "/ready")
        assert (ready.status, ready.headers["retry-after"]) == (503, "1")
        assert ready.json == {
            "error": {"code": "not_ready", "message": f"{PATHS[MODEL]}: {reason}", "path": None}
        }
        refused = daemon.ask("POST", PATHS[MODEL], instances(MODEL))
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert refused.json == {"error": {"code": "not_ready", "message": reason, "path": None}}
        assert daemon.ask("POST", PATHS[MODEL_DIRS[1]], instances(MODEL_DIRS[1])).status == 200
        assert f"POST {PATHS[MODEL]}  {file.stem}  {reason}" in daemon.ask("GET", "/").body.decode()
        file.with_suffix(".new").write_bytes(content)
        file.with_suffix(".new").rename(file)
        until(lambda: daemon.status() == 200, 2)
        assert daemon.ask("POST", PATHS[MODEL], instances(MODEL)).status == 200
        assert daemon.said.count(f"predict: {PATHS[MODEL]}: {reason}\n") == 1


def digests(daemon: Daemon, path: str, times: int = 30) -> set[str]:
    """The digests that the workers show, by many connections."""
    return {daemon.ask("GET", "/ready").json["routes"][path]["digest"] for _ in range(times)}


class Asking:
    """Posts the model's test instances without pause until the block ends; `answers` counts what came back."""

    def __init__(self, daemon: Daemon):
        self.answers: dict[tuple[int, str], int] = {}
        self._daemon = daemon
        self._thread = threading.Thread(target=self._ask)
        self._asking = True

    def _ask(self) -> None:
        while self._asking:
            answer = self._daemon.ask("POST", PATHS[MODEL], instances(MODEL))
            key = answer.status, json.dumps(answer.json["payload"]["scores"])
            self.answers[key] = self.answers.get(key, 0) + 1

    def __enter__(self) -> "Asking":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._asking = False
        self._thread.join()


@pytest.fixture
def pair(own: Path) -> Iterator[Daemon]:
    """Two workers that serve one model."""
    with Daemon(own, f"{ROUTES[MODEL]},{FOREIGN}", WORKERS="2") as daemon:
        daemon.ready()
        until(
            lambda: (
                len({daemon.ask("POST", "/names", GOOD).json["payload"]["pid"] for _ in range(10)})
                == 2
            ),
            10,
        )
        yield daemon


def test_another_good_model_file_is_answered_with_by_every_worker(own: Path, pair: Daemon) -> None:
    old = digest(model_file(own))
    assert digests(pair, PATHS[MODEL]) == {old}
    with Asking(pair) as asking:
        time.sleep(0.3)
        new = renamed(own, setting(MODEL, "MODEL_NAME"), setting(MODEL_DIRS[-1], "MODEL_NAME"))
        time.sleep(2)
        assert digests(pair, PATHS[MODEL]) == {new} != {old}
    assert len(asking.answers) == 2 and {status for status, _ in asking.answers} == {200}
    (shown,) = [
        key[2:]
        for key, value in pair.samples().items()
        if key[0] == "predict_model_info" and value == 1
    ]
    assert shown == (setting(MODEL, "MODEL_NAME"), new)


def sealed(body: bytes) -> bytes:
    """A file whose trailer agrees with `body`, whatever that is."""
    return body + hashlib.sha256(body).digest() + MAGIC


# No two neighbours have the same message, since a message is said once.
SPOILT = {
    "is not a model file of this repository": lambda content: b"",
    "its sha256 doesn't match its contents": lambda content: b"x" + content[1:],
    "(its end is missing or another's)": lambda content: content[:-100],
    "refused: opcode GLOBAL at byte 0": lambda content: sealed(b"cos\nsystem\n(S'touch ran'\ntR."),
}


def test_a_bad_model_file_leaves_the_last_good_one_in_service(own: Path) -> None:
    file = model_file(own)
    good, content = digest(file), file.read_bytes()
    with Daemon(own, ROUTES[MODEL]) as daemon:
        expected = daemon.ready().ask("POST", PATHS[MODEL], instances(MODEL))
        for problem, spoil in SPOILT.items():
            said = len(daemon.said)
            file.with_suffix(".new").write_bytes(spoil(content))
            file.with_suffix(".new").rename(file)
            until(lambda: problem in daemon.said[said:], 2.5)  # noqa: B023
            assert digests(daemon, PATHS[MODEL], 1) == {good}
            assert daemon.ask("POST", PATHS[MODEL], instances(MODEL)).body == expected.body
        new = renamed_after_repair(own, content)
        until(lambda: digests(daemon, PATHS[MODEL], 1) == {new}, 2)
    assert not (own / "ran").exists()


def renamed_after_repair(directory: Path, content: bytes) -> str:
    """Puts a good model file back, with another description, and returns its digest."""
    model_file(directory).write_bytes(content)
    name = setting(MODEL, "MODEL_NAME")
    return renamed(directory, name, name, modelDescription="another")


def test_a_model_that_fails_its_golden_rows_does_not_take_over(own: Path) -> None:
    name = setting(MODEL, "MODEL_NAME")
    golden = init_model(name, own / "models")["golden"]
    with Daemon(own, ROUTES[MODEL]) as daemon:
        before = digests(daemon.ready(), PATHS[MODEL], 1)
        flipped = [1 - prediction for prediction in golden["predictions"]]
        renamed(own, name, name, golden={**golden, "predictions": flipped})
        until(
            lambda: "answers its golden rows otherwise than when it was trained" in daemon.said, 3
        )
        assert digests(daemon, PATHS[MODEL], 1) == before and daemon.status() == 200


def test_a_first_model_that_fails_its_golden_rows_is_not_ready(own: Path) -> None:
    name = setting(MODEL, "MODEL_NAME")
    golden = init_model(name, own / "models")["golden"]
    renamed(own, name, name, golden={**golden, "scores": [[0.5, 0.5] for _ in golden["scores"]]})
    with Daemon(own, ROUTES[MODEL]) as daemon:
        until(lambda: daemon.status("/health") == 200, 20)
        ready = daemon.ask("GET", "/ready")
        assert ready.status == 503
        assert (
            "answers its golden rows otherwise than when it was trained"
            in ready.json["error"]["message"]
        )


def test_metrics_add_up_over_workers(pair: Daemon) -> None:
    rows = json.loads(instances(MODEL))["payload"]["instances"]
    for _ in range(40):
        assert pair.ask("POST", PATHS[MODEL], instances(MODEL)).status == 200
    for _ in range(20):
        assert pair.ask("POST", PATHS[MODEL], b"{").status == 400
    for _ in range(10):
        samples = pair.samples()
        assert samples["predict_requests_total", PATHS[MODEL], "200"] == 40
        assert samples["predict_requests_total", PATHS[MODEL], "400"] == 20
        assert samples["predict_batch_size_count", PATHS[MODEL]] == 40
        assert samples["predict_batch_size_sum", PATHS[MODEL]] == 40 * len(rows)
        assert samples["predict_latency_seconds_bucket", PATHS[MODEL], "+Inf"] == 40


# Root without capabilities is held by a folder's permissions like anybody else.
HELD = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.getuid() == 0 else ()


@pytest.mark.skipif(bool(HELD) and not shutil.which("setpriv"), reason="as root this needs setpriv")
def test_it_serves_from_a_folder_that_it_may_not_write(own: Path) -> None:
    for directory in (own / "models", own):
        directory.chmod(0o555)
    try:
        assert run(*HELD, "touch", own / "written").returncode == 1
        with Daemon(own, ",".join(ROUTES.values()), HELD, HOME="/nonexistent") as daemon:
            assert daemon.ready().ask("POST", PATHS[MODEL], instances(MODEL)).status == 200
        assert daemon.ended() == 0
    finally:
        for directory in (own, own / "models"):
            directory.chmod(0o755)
