"""The predict server: start-up and its errors, changes of model files, metrics."""

import json
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from runtime.serve import PredictServer
from runtime.settings import read_settings
from support.applications import routes, write_application
from support.commands import ROOT, WITHOUT_CAPABILITIES, needs_setpriv, run, wait_until
from support.load import Load
from support.models import (
    MODEL_DIRS,
    example_body,
    example_rows,
    file_digest,
    model_file,
    replace_model_file,
    rewrite_model,
    seal,
    setting,
)
from support.server import ALL_ROUTES, PATHS, ROUTES, Server, start_and_fail
from support.workers import served_models, two_workers

from utils.encode_decode import init_model

FUNCTIONS = routes("names", "sleep")
CONTENT = routes("content", module="own_file")
ANY = b'{"payload": 1}'
MODEL = MODEL_DIRS[0]
NAME = setting(MODEL, "MODEL_NAME")
OTHER_NAME = setting(MODEL_DIRS[-1], "MODEL_NAME")
PATH = PATHS[MODEL]
BODY = example_body(MODEL)
WRONG_ANSWERS = "self-check failed: predictions for the golden rows differ from those at training"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A folder with an application that uses no code of this repository."""
    write_application(tmp_path, "app", "own_file")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "own.txt").write_text("its own")
    return tmp_path


@pytest.fixture
def models_directory(directory: Path, trained: Path) -> Path:
    """The folder of the application, with copies of the trained models."""
    shutil.copytree(trained / "models", directory / "models", dirs_exist_ok=True)
    return directory


@pytest.fixture
def pair(models_directory: Path) -> Iterator[Server]:
    """A server with two workers and one model."""
    entries = f"{ROUTES[MODEL]},{routes('work')}"
    with two_workers(models_directory, entries) as server:
        yield server


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            "a:none:f",
            "route a: importing none failed: ModuleNotFoundError(\"No module named 'none'\")",
        ),
        (
            "a:app.none:f",
            "route a: importing app.none failed: "
            "ModuleNotFoundError(\"No module named 'app.none'; 'app' is not a package\")",
        ),
        ("a:app:none", "route a: app has no function none"),
        ("a:app:NAMES", "route a: app has no function NAMES"),
        ("names:app:names,b:app:none", "route b: app has no function none"),
        ("", "ROUTES is not set: expected route:module:function, several joined by commas"),
        (
            "ready:app:names",
            "ROUTES: entry 'ready:app:names': /ready is reserved for the server. "
            "Choose another route.",
        ),
    ],
)
def test_start_fails_with_a_route_that_cannot_be_served(
    directory: Path, entries: str, message: str
) -> None:
    done = start_and_fail(directory, entries)
    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1] == f"predict: {message}"


@pytest.mark.parametrize("source", ["1 / 0", "def f(:", "raise SystemExit(0)", "import no_such"])
def test_start_shows_the_traceback_of_an_application_that_fails_on_import(
    directory: Path, source: str
) -> None:
    (directory / "app.py").write_text(f"{source}\n")
    done = start_and_fail(directory, FUNCTIONS)
    assert done.returncode == 78
    assert done.stdout == ""
    assert "Traceback (most recent call last):\n" in done.stderr
    assert "app.py" in done.stderr

    message = "predict: route names: importing app failed: "
    assert done.stderr.splitlines()[-1].startswith(message)


def test_server_warns_of_a_misspelled_setting_and_starts(directory: Path) -> None:
    warning = "WORKER is not known and has no effect. Did you mean WORKERS?"
    with Server(directory, FUNCTIONS, WORKER="2") as server:
        server.wait_until_ready()
        assert warning in server.output
        assert len(server.worker_pids()) == 1

    # Other software may set a variable that only looks like a setting.
    with Server(directory, FUNCTIONS, PORTS="tcp://10.0.0.1:80", WORKER_NAME="a") as server:
        server.wait_until_ready()
        assert "is not known" not in server.output


@pytest.mark.serial
def test_start_fails_at_once_on_a_port_that_is_in_use(directory: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]

        started = time.monotonic()
        done = start_and_fail(directory, FUNCTIONS, PORT=str(port))
        assert time.monotonic() - started < 3

    assert done.returncode == 69
    assert done.stdout == ""
    expected = f"predict: 127.0.0.1:{port}: Address already in use. Set another PORT.\n"
    assert done.stderr == expected


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_start_names_a_host_that_is_not_an_address_of_this_machine(
    directory: Path, host: str
) -> None:
    done = start_and_fail(directory, FUNCTIONS, HOST=host)
    assert done.returncode in (69, 78)
    assert host in done.stderr
    assert "HOST" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("seconds", [0, 1, 60, 600])
def test_workers_have_half_a_minute_after_the_drain(seconds: int) -> None:
    settings = read_settings({"DRAIN_SECONDS": str(seconds)})
    server = PredictServer(settings, app=None)
    assert server.cfg.graceful_timeout >= seconds + 30


def test_server_is_ready_once_an_application_without_models_is_imported(directory: Path) -> None:
    # The application is imported without this repository on the path.
    builders = str(ROOT / "builders")
    with Server(directory, f"{FUNCTIONS},{CONTENT}", PYTHONPATH=builders) as server:
        server.wait_until_ready(10)
        ready = server.get("/ready").json()
        assert ready == {"status": "ready", "routes": {"/names": {}, "/sleep": {}, "/content": {}}}

        names = server.post("/names", ANY).json()["payload"]
        content = server.post("/content", ANY).json()["payload"]
        (worker,) = server.worker_pids()
        assert names == {"names": [None, None], "pid": worker}
        assert content == {"content": "its own", "pid": worker}

        output = [
            "---> Starting 1 worker",
            f"---> Answering POST {server.url}/names",
            f"---> Answering POST {server.url}/sleep",
            f"---> Answering POST {server.url}/content",
        ]
        assert server.output.splitlines() == output


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"MODElNAME": "a"}, ["a", "a"]),
        ({"MODEL_NAME": "b"}, ["b", "b"]),
        ({"MODElNAME": "a", "MODEL_NAME": "b"}, ["a", "b"]),
        ({"MODElNAME": ""}, ["", None]),
    ],
)
def test_server_sets_both_names_of_the_model_before_the_import(
    directory: Path, variables: dict[str, str], expected: list[str | None]
) -> None:
    with Server(directory, FUNCTIONS, **variables) as server:
        server.wait_until_ready(10)
        assert server.post("/names", ANY).json()["payload"]["names"] == expected


@pytest.mark.parametrize("variable", ["MODElNAME", "MODEL_NAME"])
def test_variable_chooses_another_model_for_a_single_route(
    models_directory: Path, variable: str
) -> None:
    digest = file_digest(rewrite_model(models_directory, "another", NAME))
    with Server(models_directory, ROUTES[MODEL], **{variable: "another"}) as server:
        server.wait_until_ready()
        expected = {PATH: {"model": "another", "digest": digest}}
        assert server.get("/ready").json()["routes"] == expected


def test_variables_do_not_change_the_models_of_several_routes(models_directory: Path) -> None:
    rewrite_model(models_directory, "another", NAME)
    variables = {"MODElNAME": "another", "MODEL_NAME": "another"}
    with Server(models_directory, ALL_ROUTES, **variables) as server:
        server.wait_until_ready()
        ready = server.get("/ready").json()["routes"]

    names = {path: info["model"] for path, info in ready.items()}
    assert names == {PATHS[model]: setting(model, "MODEL_NAME") for model in MODEL_DIRS}


def check_not_ready(
    response: requests.Response, message: str, routes: dict[str, str] | None = None
) -> None:
    """Check that a response asks the client to try again later, with a message.

    `routes` are the reasons by route, which only /ready has.
    """
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    error = {"code": "not_ready", "message": message, "path": None}
    more = {"routes": routes} if routes else {}
    assert response.json() == {"error": {**error, **more}}


def test_server_names_a_missing_model_until_its_file_arrives(models_directory: Path) -> None:
    file = model_file(models_directory)
    content = file.read_bytes()
    file.unlink()
    reason = f"models/{file.name}: no such file. Train the model first (make train)."

    with Server(models_directory, ALL_ROUTES) as server:
        wait_until(lambda: server.status("/health") == 200, 20)
        check_not_ready(server.get("/ready"), f"{PATH}: {reason}", {PATH: reason})
        check_not_ready(server.post(PATH, BODY), reason)

        other = MODEL_DIRS[1]
        assert server.post(PATHS[other], example_body(other)).status_code == 200
        assert f"POST {PATH}  {file.stem}  {reason}" in server.get("/").text

        replace_model_file(file, content)
        wait_until(lambda: server.status() == 200, 2)
        assert server.post(PATH, BODY).status_code == 200
        assert server.output.count(f"predict: {PATH}: {reason}\n") == 1


def served_digests(server: Server, requests: int = 1) -> set[str]:
    """Return the digests of the model in the responses to some requests.

    Each request has a separate connection, which any worker may accept.
    """
    digests = set()
    for _ in range(requests):
        digests.add(server.get("/ready").json()["routes"][PATH]["digest"])
    return digests


def test_every_worker_serves_a_new_model_file(models_directory: Path, pair: Server) -> None:
    old = file_digest(model_file(models_directory).read_bytes())
    assert served_digests(pair, 30) == {old}

    with Load(pair.port, [PATH], BODY, clients=1, turns=1) as load:
        time.sleep(0.3)
        new = file_digest(rewrite_model(models_directory, NAME, OTHER_NAME))
        time.sleep(2)
        assert new != old
        assert served_digests(pair, 30) == {new}

    assert {outcome.status for outcome in load.outcomes} == {200}
    scores = {
        json.dumps(json.loads(outcome.body)["payload"]["scores"]) for outcome in load.outcomes
    }
    assert len(scores) == 2
    assert served_models(pair) == [(PATH, NAME, new)]


RUNS_A_COMMAND = b"cos\nsystem\n(S'touch ran'\ntR."
# Neighbours have different messages, because the server logs a message once.
CORRUPTIONS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("is not a model file of this repository", lambda content: b""),
    ("its sha256 does not match its contents", lambda content: b"x" + content[1:]),
    ("(its end is missing or has another form)", lambda content: content[:-100]),
    ("rejected: opcode GLOBAL at byte 0", lambda content: seal(RUNS_A_COMMAND)),
]


def wait_for_output(server: Server, text: str, start: int = 0, seconds: float = 3) -> None:
    """Wait until the server has printed a text after its first `start` characters."""
    wait_until(lambda: text in server.output[start:], seconds)


def test_server_keeps_the_last_valid_model_if_a_file_is_corrupt(models_directory: Path) -> None:
    file = model_file(models_directory)
    content = file.read_bytes()

    with Server(models_directory, ROUTES[MODEL]) as server:
        server.wait_until_ready()
        expected = server.post(PATH, BODY)
        assert expected.status_code == 200

        for problem, corrupt in CORRUPTIONS:
            start = len(server.output)
            replace_model_file(file, corrupt(content))
            wait_for_output(server, problem, start, 2.5)
            assert served_digests(server) == {file_digest(content)}
            assert server.post(PATH, BODY).content == expected.content

        replace_model_file(file, content)
        new = file_digest(rewrite_model(models_directory, NAME, NAME, modelDescription="another"))
        wait_until(lambda: served_digests(server) == {new}, 2)

    assert not (models_directory / "ran").exists()


def test_server_keeps_its_model_if_the_next_one_fails_its_golden_rows(
    models_directory: Path,
) -> None:
    golden = init_model(NAME, models_directory / "models")["golden"]
    flipped = [1 - prediction for prediction in golden["predictions"]]

    with Server(models_directory, ROUTES[MODEL]) as server:
        server.wait_until_ready()
        before = served_digests(server)
        rewrite_model(models_directory, NAME, NAME, golden={**golden, "predictions": flipped})
        wait_for_output(server, WRONG_ANSWERS)
        assert served_digests(server) == before
        assert server.status() == 200


def test_server_is_not_ready_if_its_first_model_fails_its_golden_rows(
    models_directory: Path,
) -> None:
    golden = init_model(NAME, models_directory / "models")["golden"]
    scores = [[0.5, 0.5] for _ in golden["scores"]]
    rewrite_model(models_directory, NAME, NAME, golden={**golden, "scores": scores})

    with Server(models_directory, ROUTES[MODEL]) as server:
        wait_until(lambda: server.status("/health") == 200, 20)
        ready = server.get("/ready")
        assert ready.status_code == 503
        assert WRONG_ANSWERS in ready.json()["error"]["message"]


def test_metrics_of_every_worker_are_sums_over_all(pair: Server) -> None:
    for _ in range(40):
        assert pair.post(PATH, BODY).status_code == 200
    for _ in range(20):
        assert pair.post(PATH, b"{").status_code == 400

    rows = len(example_rows(MODEL))
    for _ in range(10):
        metrics = pair.metrics()
        assert metrics["predict_requests_total", PATH, "200"] == 40
        assert metrics["predict_requests_total", PATH, "400"] == 20
        assert metrics["predict_batch_size_count", PATH] == 40
        assert metrics["predict_batch_size_sum", PATH] == 40 * rows
        assert metrics["predict_latency_seconds_bucket", PATH, "+Inf"] == 40


@pytest.fixture
def read_only_directory(models_directory: Path) -> Iterator[Path]:
    """A folder with models that is read-only for users without capabilities."""
    folders = (models_directory, models_directory / "models")
    for folder in folders:
        folder.chmod(0o555)
    yield models_directory
    for folder in folders:
        folder.chmod(0o755)


@needs_setpriv
def test_server_serves_from_a_folder_without_write_permission(read_only_directory: Path) -> None:
    denied = run(*WITHOUT_CAPABILITIES, "touch", read_only_directory / "written")
    assert denied.returncode == 1

    variables = {"HOME": "/nonexistent"}
    prefix = WITHOUT_CAPABILITIES
    with Server(read_only_directory, ALL_ROUTES, prefix=prefix, **variables) as server:
        server.wait_until_ready()
        assert server.post(PATH, BODY).status_code == 200
    assert server.wait() == 0
