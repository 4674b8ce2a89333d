"""The builders serve any application that follows the document: tests/foreign knows nothing of this repository."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from check_endpoint import fetch, wait_until_ready
from conftest import ROOT, Completed, free_port, make_clone, remove_images, run

FOREIGN = ROOT / "tests/foreign"
NAME = "census"
PAYLOAD = json.dumps({"$ref": "data/adult_income-prepped.csv", "model_name": NAME})
COLUMNS = ("workclass", "education", "marital-status", "occupation", "relationship", "gender")
ROWS = """Private Doctorate Married-civ-spouse Exec-managerial Husband Male
Private 11th Never-married Other-service Own-child Female"""
INSTANCES = [
    {column: f"{column}_{cell}" for column, cell in zip(COLUMNS, row.split())}
    for row in ROWS.splitlines()
]
QUESTION = {"payload": {"instances": INSTANCES}}
EXPECTED = {"payload": {"predictions": ["high", "low"]}}
USER = f"{os.getuid() or 1001}:0"  # README: never root


class Built(NamedTuple):
    """What stands after building and training by hand: the images' common name, and the models folder."""

    name: str
    models: Path
    trained: Completed


def s2i_build(builder: str, image: str, settings: Path) -> None:
    """The document's build line, with what this machine's package index needs mounted."""
    s2i = shutil.which("s2i") or ROOT / "tools/bin/s2i"
    mount = f"{settings}:/run/s2i-settings:ro"
    built = run(s2i, "build", "-c", FOREIGN, builder, image, "--pull-policy", "never", "-v", mount)
    assert built.returncode == 0, built.stderr
    assert run("docker", "image", "inspect", image).returncode == 0, built.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """The application built and trained by hand, as the document says; its images are removed in the end."""
    scratch = tmp_path_factory.mktemp("foreign")
    models, settings, name = scratch / "models", scratch / "settings", f"foreign{os.getpid()}"
    models.mkdir()
    models.chmod(0o775)
    settings.mkdir()
    assert run("make", "builders").returncode == 0
    assert run(sys.executable, "engines/pip_settings.py", settings).returncode == 0
    try:
        s2i_build("s2i-model-python", f"{name}-train", settings)
        s2i_build("s2i-daemon-python", f"{name}-predict", settings)
        mounts = ("-v", f"{ROOT}/data:/model/data", "-v", f"{models}:/model/models")
        variables = ("-e", "TRAIN=1", "-e", f"PAYLOAD={PAYLOAD}")
        yield Built(
            name,
            models,
            run("docker", "run", "--rm", "--user", USER, *mounts, *variables, f"{name}-train"),
        )
    finally:
        remove_images(name)


@contextmanager
def serving(command: list[str], port: int, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A server that a command runs in the foreground, once it is ready; ended if the test has not done so."""
    env = {**os.environ, **environment}
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", 60)
            yield server
        finally:
            server.terminate()


@contextmanager
def container(built: Built) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of the predict image, run by the document's line, and its process."""
    port = free_port()
    options = (
        "-v",
        f"{built.models}:/action/models",
        "-e",
        f"MODElNAME={NAME}",
        "-p",
        f"{port}:5000",
    )
    command = [
        "docker",
        "run",
        "--rm",
        "--name",
        f"{built.name}-{port}",
        *options,
        f"{built.name}-predict",
    ]
    with serving(command, port) as process:
        yield f"http://127.0.0.1:{port}", process


@pytest.fixture(scope="module")
def address(built: Built) -> Iterator[str]:
    """The address of a running predict image."""
    with container(built) as (address, _):
        yield address


@pytest.mark.docker
def test_it_trains_in_a_container(built: Built) -> None:
    assert (built.trained.returncode, built.trained.stdout) == (0, "trained on 48842 rows\n"), (
        built.trained.stderr
    )
    assert [file.name for file in built.models.iterdir()] == [f"{NAME}.pkl"]


@pytest.mark.docker
def test_both_its_routes_answer_and_its_debian_package_is_there(address: str) -> None:
    assert fetch(f"{address}/income/predict", json.dumps(QUESTION).encode()) == (200, EXPECTED)
    described = {"payload": {"files": [f"{NAME}.pkl"], "classes": ["high", "low"]}}
    assert fetch(f"{address}/income/files", json.dumps({"payload": {"name": NAME}}).encode()) == (
        200,
        described,
    )
    assert (
        run("docker", "run", "--rm", "s2i-daemon-python", "sh", "-c", "command -v tree").returncode
        != 0
    )


@pytest.mark.docker
@pytest.mark.parametrize("path, body, status, code", [
    ("income/predict", b"{", 400, "malformed_json"),
    ("income/predict", b"[1, 2]", 422, "invalid_body"),
    ("income/predict", b'{"payload": {"instances": [{"age": 7}]}}', 500, "internal_error"),
    ("income/oracle", b"{}", 404, "not_found"),
    ("income/predict", None, 405, "method_not_allowed"),
])  # fmt: skip
def test_wrong_input_gets_a_json_error_and_the_next_an_answer(
    address: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    found, answer = fetch(f"{address}/{path}", body)
    assert (found, answer["error"]["code"]) == (status, code)
    assert "Traceback" not in answer["error"]["message"]
    assert fetch(f"{address}/income/predict", json.dumps(QUESTION).encode()) == (200, EXPECTED)


@pytest.mark.docker
def test_sigterm_ends_it_cleanly(built: Built) -> None:
    with container(built) as (address, process):
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=30)[0]
    assert process.returncode == 0, output
    assert "Traceback" not in output
    port = address.rpartition(":")[2]
    assert run("docker", "ps", "-aq", "--filter", f"name=^{built.name}-{port}").stdout == ""


@pytest.mark.docker
def test_it_answers_once_without_a_server(built: Built) -> None:
    mount = ("-v", f"{built.models}:/model/models", "-e", f"MODElNAME={NAME}")
    once = run(
        "docker",
        "run",
        "--rm",
        *mount,
        "-e",
        f"PAYLOAD={json.dumps(QUESTION['payload'])}",
        f"{built.name}-train",
    )
    assert (once.returncode, json.loads(once.stdout)) == (0, EXPECTED["payload"])


@pytest.mark.docker
def test_a_start_without_its_pickle_names_route_and_file(built: Built) -> None:
    started = run(
        "docker",
        "run",
        "--rm",
        "-e",
        "MODElNAME=missing",
        "-e",
        "LOG_FORMAT=text",
        f"{built.name}-predict",
    )
    assert started.returncode == 78
    reason = started.stderr.splitlines()[-1]
    assert reason.startswith(
        "predict: route income/predict: importing income.predict failed: FileNotFoundError("
    )
    assert "models/missing.pkl" in started.stderr


def test_it_trains_and_serves_without_docker(tmp_path: Path) -> None:
    clone = make_clone(tmp_path)
    engine = clone / "engines/local.sh"
    for role in ("train", "predict"):
        builder = clone / "engines/local-build.sh"
        built = run(builder, f"foreign-{role}", clone / "tests/foreign", role)
        assert built.returncode == 0, built.stderr
        assert (
            "---> Skipping setup.sh: it installs on this machine; SETUP=1 runs it\n" in built.stdout
        )
    trained = run(engine, "train", "foreign-train", env={"PAYLOAD": PAYLOAD})
    assert (trained.returncode, trained.stdout) == (0, "trained on 48842 rows\n"), trained.stderr
    port = free_port()
    command = [str(engine), "predict", "foreign-predict"]
    with serving(command, port, PORT=str(port), MODElNAME=NAME) as process:
        assert fetch(f"http://127.0.0.1:{port}/income/predict", json.dumps(QUESTION).encode()) == (
            200,
            EXPECTED,
        )
        process.terminate()
        assert process.wait(30) == 0
