"""The local engine, end to end: build, train, serve, predict and stop."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support.clones import make_clone
from support.commands import (
    ROOT,
    Completed,
    clean_environment,
    make,
    output_of,
    run,
    wait_until,
)
from support.models import FASTEST, MODEL_DIRS, example, setting
from support.network import free_port, is_listening
from support.terminal import on_terminal

MODEL = FASTEST
NAME = setting(MODEL, "MODEL_NAME")
IMAGE = setting(MODEL, "CONTAINER_NAME")
# Nothing listens on port 9.
NO_NETWORK = {
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
}


def make_local(clone: Path, directory: str, *arguments: str, **variables: str) -> Completed:
    """Run make under the local engine."""
    return make(clone, directory, *arguments, ENGINE="local", seconds=180, **variables)


def made(clone: Path, directory: str, *arguments: str, **variables: str) -> str:
    """Run make, which must succeed, and return its output."""
    return output_of(make_local(clone, directory, *arguments, **variables))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose models are built and trained with the document's commands."""
    clone = make_clone(tmp_path_factory.mktemp("local"))
    for directory in MODEL_DIRS:
        for target in ("build-train", "train", "build-predict"):
            made(clone, directory, target)
    return clone


@contextmanager
def serving(clone: Path, directory: str, target: str = "predict", **env: str) -> Iterator[str]:
    """Run a server in the background; yield its port."""
    port = str(free_port())
    made(clone, directory, target, DETACH="1", PORT=port, **env)
    try:
        yield port
    finally:
        made(clone, directory, "stop")


# The commands of the document


@pytest.mark.parametrize("directory", MODEL_DIRS)
def test_a_model_serves_predicts_shows_its_log_and_stops(project: Path, directory: str) -> None:
    route = f"/{setting(directory, 'MODEL_NAME')}/predict"
    expected = example(directory)["expected"]
    with serving(project, directory) as port:
        output = made(project, directory, "test-endpoint", PORT=port)
        assert output == f"---> POST {route}: 4 predictions, as expected: {expected}\n"
        log = made(project, directory, "logs")
        assert f'"Answering POST http://127.0.0.1:{port}{route}"' in log
    assert not is_listening(int(port))


def test_a_server_with_keys_answers_a_request_with_one(project: Path, tmp_path: Path) -> None:
    keys = tmp_path / "my keys"
    keys.write_text("a-key-of-24-characters-1\n")
    with serving(project, MODEL, API_KEY_FILE=str(keys)) as port:
        output = made(project, MODEL, "test-endpoint", PORT=port, API_KEY_FILE=str(keys))
        assert "as expected" in output
        assert "found 401" in make_local(project, MODEL, "test-endpoint", PORT=port).stderr


def test_a_wrong_expectation_fails_the_endpoints_test(project: Path) -> None:
    file = project / MODEL / "test/test_instances.json"
    right = file.read_text()
    with serving(project, MODEL) as port:
        file.write_text(right.replace('"expected": [', '"expected": [9'))
        done = make_local(project, MODEL, "test-endpoint", PORT=port)
        file.write_text(right)
    assert (done.returncode, "test-endpoint: /" in done.stderr) == (2, True)


def test_all_models_train_side_by_side_and_answer_from_one_server(project: Path) -> None:
    for model in (project / "models").glob("*.pkl"):
        model.unlink()
    made(project, "all", "-j4", "train-all")
    trained = {path.stem for path in (project / "models").glob("*.pkl")}
    assert trained == {setting(name, "MODEL_NAME") for name in MODEL_DIRS}

    names = [setting(name, "MODEL_NAME") for name in setting("all", "MODEL_DIRS").split()]
    with serving(project, "all", "predict-all") as port:
        lines = made(project, "all", "test-all", PORT=port).splitlines()
    results = [line.rpartition(":")[0] for line in lines]
    assert results == [f"---> POST /{name}/predict: 4 predictions, as expected" for name in names]
    assert not is_listening(int(port))


def test_it_answers_once_without_a_server_and_prints_nothing_but_json(project: Path) -> None:
    payload = json.dumps(example(MODEL)["payload"])
    answer = json.loads(made(project, MODEL, "predict-once", PAYLOAD=payload))
    assert answer["predictions"] == example(MODEL)["expected"]


def test_without_a_payload_the_expected_form_is_named(project: Path) -> None:
    done = make_local(project, MODEL, "predict-once")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "run.sh: PAYLOAD is not set; expected PAYLOAD='{\"instances\": [...]}' or PAYLOAD=@FILE\n"
    )


def test_the_body_of_a_request_is_a_payload_too(project: Path) -> None:
    body = (project / MODEL / "test/test_instances.json").read_text()
    answer = json.loads(made(project, MODEL, "predict-once", PAYLOAD=body))
    assert answer["predictions"] == example(MODEL)["expected"]


def test_the_log_is_text_on_a_terminal(project: Path) -> None:
    with serving(project, MODEL) as port:
        made(project, MODEL, "test-endpoint", PORT=port)
        command = ("make", "-s", "-C", MODEL, "logs")
        with on_terminal(*command, cwd=project, env={"ENGINE": "local"}) as program:
            code, output = program.finish()
    assert code == 0
    message = f"Answering POST http://127.0.0.1:{port}/{NAME}/predict"
    assert re.search(rf"^\d\d:\d\d:\d\d info: {message}$", output, re.MULTILINE)
    assert '"message"' not in output


def test_a_missing_model_ends_the_test_at_once_and_the_others_are_tested(project: Path) -> None:
    file = project / "models" / f"{NAME}.pkl"
    hidden = file.rename(file.with_suffix(".hidden"))
    try:
        with serving(project, "all", "predict-all") as port:
            wait_until(lambda: is_listening(int(port)), 60)
            started = time.monotonic()
            done = make_local(project, "all", "test-all", PORT=port)
            seconds = time.monotonic() - started
    finally:
        hidden.rename(file)
    assert (done.returncode, done.stdout.count("as expected")) == (2, len(MODEL_DIRS) - 1)
    reason = f"models/{NAME}.pkl: no such file. Train the model first (make train)."
    words = " ".join(done.stderr.split())
    assert f"/{NAME}/predict failed expected status 200, found 503: {reason} /" in words
    assert f"test-all: 1 of {len(MODEL_DIRS)} models failed\n" in done.stderr
    assert seconds < 30


def test_the_test_waits_while_a_server_in_the_foreground_is_built_and_starts(
    project: Path,
) -> None:
    port = str(free_port())
    env = clean_environment(ENGINE="local", PORT=port)
    command = ["make", "-C", "all", "predict-all"]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, cwd=project, env=env, stdout=quiet, start_new_session=True)
    try:
        assert made(project, "all", "test-all", PORT=port).count("as expected") == len(MODEL_DIRS)
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(30)


def test_another_model_name_trains_and_serves_another_file(project: Path) -> None:
    own = project / "models" / f"{NAME}.pkl"
    made(project, MODEL, "train", "MODEL_NAME=other")
    hidden = own.rename(project / "models/hidden")
    try:
        # The name in the Makefile overrides the name in the environment.
        with serving(project, MODEL, MODEL_NAME="other") as port:
            done = make_local(project, MODEL, "test-endpoint", PORT=port, WAIT="3")
            assert done.returncode == 2

        made(project, MODEL, "predict", "MODEL_NAME=other", DETACH="1", PORT=port)
        made(project, MODEL, "test-endpoint", PORT=port)
    finally:
        make_local(project, MODEL, "stop")
        hidden.rename(own)


def test_a_second_build_and_training_need_no_network(project: Path) -> None:
    for target in ("build-train", "train", "build-predict"):
        made(project, MODEL, target, **NO_NETWORK)
    made(project, "all", "build-predict", **NO_NETWORK)


def test_without_wheels_that_network_would_have_been_missed(clone: Path) -> None:
    for shared in ("cache", "environments"):
        (clone / ".local" / shared).unlink()
    done = make_local(
        clone, MODEL, "build-predict", **NO_NETWORK, PIP_RETRIES="0", PIP_NO_INDEX="0"
    )
    assert (done.returncode, (clone / f".local/images/{IMAGE}-predict").exists()) == (2, False)


# Stopping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_the_foreground_it_ends_cleanly(project: Path, number: signal.Signals) -> None:
    port = str(free_port())
    env = clean_environment(ENGINE="local", PORT=port)
    command = [project / "engines/run.sh", "predict", f"{IMAGE}-predict"]
    server = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        made(project, MODEL, "test-endpoint", PORT=port)
        server.send_signal(number)
        assert server.wait(30) == 0
    finally:
        server.kill()
    assert not is_listening(int(port))


def test_ctrl_c_at_make_leaves_no_server(project: Path) -> None:
    port = str(free_port())
    env = clean_environment(ENGINE="local", PORT=port)
    server = subprocess.Popen(
        ["make", "-C", MODEL, "predict"],
        cwd=project,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    made(project, MODEL, "test-endpoint", PORT=port)
    # A terminal sends this signal to make and to the server.
    os.killpg(server.pid, signal.SIGINT)
    server.wait(30)
    assert not is_listening(int(port))
    with pytest.raises(ProcessLookupError):
        os.killpg(server.pid, 0)


def test_stop_without_a_server_is_an_error(project: Path) -> None:
    done = make_local(project, MODEL, "stop")
    assert (done.returncode, done.stdout) == (2, "")
    advice = "Start it with make predict or make predict-all."
    assert f"stop: {IMAGE}-predict is not running. {advice}\n" in done.stderr


# A server in the background

ROUTE = f"/{NAME}/predict"


def test_a_server_in_the_background_prints_its_address_and_routes(project: Path) -> None:
    port = str(free_port())
    url = f"http://127.0.0.1:{port}"
    output = made(project, MODEL, "predict", DETACH="1", PORT=port)
    try:
        assert f"---> {IMAGE}-predict answers on {url}\n     POST {ROUTE}  ready\n" in output
    finally:
        stopped = made(project, MODEL, "stop")
    process = (project / f".local/run/{IMAGE}-predict.pid").read_text().split()[0]
    assert f"---> Stopped {IMAGE}-predict (process {process}, {url})\n" in stopped


def test_a_route_without_a_model_is_reported_and_not_announced(project: Path) -> None:
    model = project / "models" / f"{NAME}.pkl"
    hidden = model.rename(project / "models/hidden")
    try:
        port = str(free_port())
        output = made(project, MODEL, "predict", DETACH="1", PORT=port)
        log = made(project, MODEL, "logs")
    finally:
        hidden.rename(model)
        made(project, MODEL, "stop")
    reason = f"models/{NAME}.pkl: no such file. Train the model first (make train)."
    assert f"     POST {ROUTE}  not ready: {reason}\n" in output
    assert "Answering POST" not in log


def test_a_server_that_ends_at_once_is_a_failure_with_its_log(project: Path) -> None:
    port = str(free_port())
    done = make_local(project, MODEL, "predict", DETACH="1", PORT=port, WORKERS="two")
    assert (done.returncode, "Error 78" in done.stderr) == (2, True)
    assert "WORKERS" in done.stderr
    assert f"predict: {IMAGE}-predict ended before it answered." in done.stderr
    assert "answers on" not in done.stdout


def test_a_port_that_a_server_of_this_project_uses_is_reported_with_its_name(
    project: Path,
) -> None:
    with serving(project, MODEL) as port:
        done = make_local(project, "all", "predict-all", PORT=port)
    assert (done.returncode, done.stdout) == (2, "")
    way_out = f"Stop it with make -C {MODEL} stop, or set another PORT."
    assert f"PORT={port}: {IMAGE}-predict uses it. {way_out}\n" in done.stderr


def test_the_root_stops_and_shows_what_it_has_started(project: Path) -> None:
    port = str(free_port())
    made(project, ".", "predict-all", DETACH="1", PORT=port)
    try:
        assert "Answering POST" in made(project, ".", "logs")
    finally:
        output = made(project, ".", "stop")
    assert f"http://127.0.0.1:{port})\n" in output
    assert not is_listening(int(port))


# Ports, missing images and missing models


@pytest.mark.parametrize("detach", ["", "1"])
def test_a_taken_port_is_named_before_anything_starts(project: Path, detach: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = make_local(project, MODEL, "predict", PORT=str(port), DETACH=detach)
    assert (done.returncode, done.stdout) == (2, "")
    problem = f"PORT={port}: Address already in use"
    assert f"{problem}. Stop the other program, or set another PORT.\n" in done.stderr


def test_a_server_that_runs_already_is_not_lost(project: Path) -> None:
    with serving(project, MODEL) as port:
        made(project, MODEL, "test-endpoint", PORT=port)
        server = int((project / f".local/run/{IMAGE}-predict.pid").read_text().split()[0])
        done = make_local(project, MODEL, "predict", DETACH="1", PORT=str(free_port()))
    stopped = not is_listening(int(port))
    # No process may keep running, even if this test fails.
    with suppress(ProcessLookupError):
        os.kill(server, signal.SIGTERM)
    assert done.returncode == 2
    assert f"{IMAGE}-predict is already running. make stop stops it." in done.stderr
    assert stopped


MISSING = {"train": "train", "predict-once": "train", "predict": "predict"}


@pytest.mark.parametrize("target", MISSING)
@pytest.mark.parametrize("detach", ["", "1"])
def test_before_a_build_the_target_that_builds_is_named(
    clone: Path, target: str, detach: str
) -> None:
    role = MISSING[target]
    done = make_local(clone, MODEL, target, PAYLOAD="{}", DETACH=detach, PORT=str(free_port()))
    assert (done.returncode, done.stdout) == (2, "")
    problem = f"there is no local image {IMAGE}-{role}"
    assert f"local.sh: {problem}. Run make build-{role}.\n" in done.stderr
    assert not list((clone / ".local").glob("run/*.pid"))


def test_before_a_server_the_logs_name_what_starts_one(clone: Path) -> None:
    done = make_local(clone, MODEL, "logs")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(("local.sh: ", "---> Engine: local (ENGINE=local)\nlocal.sh: "))
    assert "DETACH=1" in done.stderr


def test_an_images_name_may_have_a_folder(project: Path) -> None:
    names = ["CONTAINER_NAME=team/house", "DETACH=1"]
    port = str(free_port())
    made(project, MODEL, "build-predict", *names)
    try:
        made(project, MODEL, "predict", *names, PORT=port)
        made(project, MODEL, "test-endpoint", PORT=port, WAIT="15")
    finally:
        make_local(project, MODEL, "stop", *names)


# setup.sh


def test_setup_sh_runs_only_when_it_is_asked_for(clone: Path) -> None:
    (clone / MODEL / "setup.sh").write_text('touch "ran as $ROLE"\n')
    ran = clone / f".local/images/{IMAGE}-predict" / "ran as predict"
    skipped = "---> Skipping setup.sh, which can change this machine. SETUP=1 runs it.\n"
    assert skipped in made(clone, MODEL, "build-predict")
    assert not ran.exists()

    output = made(clone, MODEL, "build-predict", SETUP="1")
    assert "---> Running setup.sh\n" in output
    assert skipped not in output
    assert ran.exists()
    assert not (clone / "ran as predict").exists()


# Bad data


def test_bad_data_leaves_the_old_model(project: Path) -> None:
    model = project / "models" / f"{NAME}.pkl"
    before = model.read_bytes()
    table = ROOT / "data/adult_income-prepped.csv"
    lines = table.read_text().splitlines()
    shutil.copyfile(table.with_suffix(".toml"), project / "data/bad.toml")
    without_label = [line.rpartition(",")[0] for line in lines[:200]]
    (project / "data/bad.csv").write_text("\n".join(without_label))
    done = make_local(project, MODEL, "train", "DATASET_NAME=data/bad.csv")
    assert (done.returncode, "Error 78" in done.stderr) == (2, True)
    assert "train: data/bad.csv: no column 'income'" in done.stderr
    assert model.read_bytes() == before
    assert not [path for path in (project / "models").iterdir() if path.name.startswith(f".{NAME}")]


@pytest.mark.parametrize(
    "name", ["../README.md", "/etc/passwd", "https://127.0.0.1:9/x.csv", "data/../../x y's.csv"]
)
def test_data_outside_of_the_data_folder_are_refused(project: Path, name: str) -> None:
    done = make_local(project, MODEL, "train", f"DATASET_NAME={name}")
    assert done.returncode == 2
    assert f"train: $ref {name!r} is not inside data/" in done.stderr


# Another user

STRANGER = 12345


@pytest.fixture
def strangers_clone() -> Iterator[Path]:
    """A new clone that belongs to a user who is not root."""
    home = Path(tempfile.mkdtemp(prefix="home of 12345 "))
    clone = make_clone(home)
    for shared in ("cache", "environments"):
        (clone / ".local" / shared).unlink()
    # A new download of the packages would take minutes.
    shutil.copytree(ROOT / ".local/cache", clone / ".local/cache", symlinks=True)
    for path in [home, *home.rglob("*")]:
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    yield clone
    shutil.rmtree(home)


@pytest.mark.skipif(
    os.getuid() != 0,
    reason="only root can become another user; everything else here ran without root",
)
def test_a_user_who_is_not_root_builds_and_trains_in_a_fresh_clone(strangers_clone: Path) -> None:
    home = str(strangers_clone.parent)
    identity = (f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups")
    become = ("setpriv", *identity, "env", "-u", "PYTHON")
    variables = {
        "HOME": home,
        "PATH": f"/usr/bin:/bin:{os.environ['PATH']}",
        "ENGINE": "local",
        "TMPDIR": home,
    }
    program = '. engines/common.sh; is_supported python3 && python3 -c "import venv"'
    if run(*become, "bash", "-c", program, env=variables).returncode:
        pytest.skip("there is no supported Python with venv that another user can run")

    command = ("make", "-s", "-C", MODEL, "build-train", "train")
    output_of(run(*become, *command, cwd=strangers_clone, env=variables, seconds=180))
    status = (strangers_clone / "models" / f"{NAME}.pkl").stat()
    assert (status.st_uid, status.st_mode & 0o777) == (STRANGER, 0o644)
