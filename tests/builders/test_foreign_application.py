"""The builders serve any application that follows the document.

The application in tests/foreign does not use this repository.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from readiness import wait_until_ready
from support.clones import make_clone
from support.commands import ROOT, Completed, clean_environment, make, output_of, run
from support.docker import remove_images, s2i_build
from support.network import free_port

FOREIGN = ROOT / "tests/foreign"
NAME = "census"
PAYLOAD = json.dumps({"$ref": "data/adult_income-prepped.csv", "model_name": NAME})
INSTANCES = [
    {
        "workclass": "workclass_Private",
        "education": "education_Doctorate",
        "marital-status": "marital-status_Married-civ-spouse",
        "occupation": "occupation_Exec-managerial",
        "relationship": "relationship_Husband",
        "gender": "gender_Male",
    },
    {
        "workclass": "workclass_Private",
        "education": "education_11th",
        "marital-status": "marital-status_Never-married",
        "occupation": "occupation_Other-service",
        "relationship": "relationship_Own-child",
        "gender": "gender_Female",
    },
]
BODY = {"payload": {"instances": INSTANCES}}
EXPECTED = {"payload": {"predictions": ["high", "low"]}}
# README: never root.
USER = f"{os.getuid() or 1001}:0"
HTTP = requests.Session()
HTTP.trust_env = False


class Built(NamedTuple):
    """The built and trained application: the name of its images, its models folder."""

    name: str
    models: Path
    trained: Completed


def post(server: str, route: str, body: object) -> tuple[int, Any]:
    """Post a body as JSON and return the status and the answer."""
    response = HTTP.post(f"{server}/{route}", json=body, timeout=30)
    return response.status_code, response.json()


def build(builder: str, image: str, settings: Path) -> None:
    """Run the document's build command, with this machine's pip settings mounted."""
    done = s2i_build(FOREIGN, builder, image, "-v", f"{settings}:/run/s2i-settings:ro")
    output_of(done)
    assert run("docker", "image", "inspect", image).returncode == 0, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """The application, built and trained with plain commands; remove its images later."""
    scratch = tmp_path_factory.mktemp("foreign")
    name = f"foreign{os.getpid()}"
    models = scratch / "models"
    models.mkdir()
    models.chmod(0o775)
    settings = scratch / "settings"
    settings.mkdir()
    output_of(make(ROOT, ".", "builders"))
    output_of(run(sys.executable, "engines/pip_settings.py", settings))

    mounts = ("-v", f"{ROOT}/data:/model/data", "-v", f"{models}:/model/models")
    variables = ("-e", "TRAIN=1", "-e", f"PAYLOAD={PAYLOAD}")
    options = ("--rm", "--user", USER, *mounts, *variables)
    try:
        build("s2i-model-python", f"{name}-train", settings)
        build("s2i-daemon-python", f"{name}-predict", settings)
        yield Built(name, models, run("docker", "run", *options, f"{name}-train"))
    finally:
        remove_images(name)


@contextmanager
def serving(command: list[str], port: int, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run a server in the foreground; yield it when it is ready, then stop it."""
    with subprocess.Popen(
        command,
        env=clean_environment(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", 60)
            yield server
        finally:
            server.terminate()


@contextmanager
def container(built: Built) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the predict image with the document's command; yield address and process."""
    port = free_port()
    options = (
        *("--rm", "--name", f"{built.name}-{port}"),
        *("-v", f"{built.models}:/action/models"),
        *("-e", f"MODElNAME={NAME}"),
        *("-p", f"{port}:5000"),
    )
    with serving(["docker", "run", *options, f"{built.name}-predict"], port) as process:
        yield f"http://127.0.0.1:{port}", process


@pytest.fixture(scope="module")
def address(built: Built) -> Iterator[str]:
    """The address of a running predict container."""
    with container(built) as (address, _):
        yield address


@pytest.mark.docker
def test_it_trains_in_a_container(built: Built) -> None:
    assert output_of(built.trained) == "trained on 48842 rows\n"
    assert [file.name for file in built.models.iterdir()] == [f"{NAME}.pkl"]


@pytest.mark.docker
def test_both_its_routes_answer_and_its_debian_package_is_there(address: str) -> None:
    assert post(address, "income/predict", BODY) == (200, EXPECTED)
    described = {"payload": {"files": [f"{NAME}.pkl"], "classes": ["high", "low"]}}
    assert post(address, "income/files", {"payload": {"name": NAME}}) == (200, described)

    # The builder image does not contain this program.
    tree = run("docker", "run", "--rm", "s2i-daemon-python", "sh", "-c", "command -v tree")
    assert tree.returncode != 0


WRONG = [
    ("POST", "income/predict", b"{", 400, "malformed_json"),
    ("POST", "income/predict", b"[1, 2]", 422, "invalid_body"),
    ("POST", "income/predict", b'{"payload": {"instances": [{"a": 7}]}}', 500, "internal_error"),
    ("POST", "income/oracle", b"{}", 404, "not_found"),
    ("GET", "income/predict", None, 405, "method_not_allowed"),
]


@pytest.mark.docker
@pytest.mark.parametrize("method, path, body, status, code", WRONG)
def test_wrong_input_gets_a_json_error_and_the_next_request_an_answer(
    address: str, method: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    headers = {"Content-Type": "application/json"}
    response = HTTP.request(method, f"{address}/{path}", data=body, headers=headers, timeout=30)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert "Traceback" not in error["message"]
    assert post(address, "income/predict", BODY) == (200, EXPECTED)


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
    mount = ("-v", f"{built.models}:/model/models")
    payload = json.dumps(BODY["payload"])
    variables = ("-e", f"MODElNAME={NAME}", "-e", f"PAYLOAD={payload}")
    once = run("docker", "run", "--rm", *mount, *variables, f"{built.name}-train")
    assert json.loads(output_of(once)) == EXPECTED["payload"]


@pytest.mark.docker
def test_a_start_without_its_pickle_names_route_and_file(built: Built) -> None:
    variables = ("-e", "MODElNAME=missing", "-e", "LOG_FORMAT=text")
    started = run("docker", "run", "--rm", *variables, f"{built.name}-predict")
    assert started.returncode == 78
    reason = started.stderr.splitlines()[-1]
    assert reason.startswith(
        "predict: route income/predict: importing income.predict failed: FileNotFoundError("
    )
    assert "models/missing.pkl" in started.stderr


def test_it_trains_and_serves_without_docker(tmp_path: Path) -> None:
    clone = make_clone(tmp_path)
    for role in ("train", "predict"):
        builder = clone / "engines/local-build.sh"
        output = output_of(run(builder, f"foreign-{role}", clone / "tests/foreign", role))
        assert "---> Skipping setup.sh, which can change this machine. SETUP=1 runs it.\n" in output

    engine = clone / "engines/local.sh"
    trained = run(engine, "train", "foreign-train", env={"PAYLOAD": PAYLOAD})
    assert output_of(trained) == "trained on 48842 rows\n"

    port = free_port()
    command = [str(engine), "predict", "foreign-predict"]
    with serving(command, port, PORT=str(port), MODElNAME=NAME) as process:
        assert post(f"http://127.0.0.1:{port}", "income/predict", BODY) == (200, EXPECTED)
        process.terminate()
        assert process.wait(30) == 0
