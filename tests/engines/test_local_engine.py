"""The local engine from end to end: build, train, serve, ask, stop; each model, and all of them in one server."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from conftest import MODEL_DIRS, ROOT, free_port, make_clone, run, setting

MODEL = next(
    name for name in MODEL_DIRS if setting(name, "MODEL_NAME").endswith("_lr")
)  # trains fastest
NAME = setting(MODEL, "MODEL_NAME")
IMAGE = setting(MODEL, "CONTAINER_NAME")
NO_NETWORK = {
    **dict.fromkeys(("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), "http://127.0.0.1:9/simple"),
    **dict.fromkeys(
        ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"
    ),
}


def make(
    clone: Path, directory: str, *arguments: str, **env: str
) -> subprocess.CompletedProcess[str]:
    return run(
        "make",
        "-s",
        "-C",
        directory,
        *arguments,
        cwd=clone,
        env={"ENGINE": "local", **env},
        seconds=180,
    )


def made(clone: Path, directory: str, *arguments: str, **env: str) -> str:
    """What make prints, once it has succeeded."""
    done = make(clone, directory, *arguments, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose models are built and trained, by the commands of the document."""
    clone = make_clone(tmp_path_factory.mktemp("local"))
    for directory in MODEL_DIRS:
        for target in ("build-train", "train", "build-predict"):
            made(clone, directory, target)
    return clone


@contextmanager
def serving(clone: Path, directory: str, target: str = "predict", **env: str) -> Iterator[str]:
    """A server in the background, on the port that is handed out."""
    port = env.pop("PORT", str(free_port()))
    made(clone, directory, target, DETACH="1", PORT=port, **env)
    try:
        yield port
    finally:
        made(clone, directory, "stop")


def is_free(port: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) != 0


def expected(directory: str) -> list[int]:
    case: dict[str, list[int]] = json.loads(
        (ROOT / directory / "test/test_instances.json").read_text()
    )
    return case["expected"]


# The commands of the document


@pytest.mark.parametrize("directory", MODEL_DIRS)
def test_a_model_serves_is_asked_shows_its_log_and_stops(project: Path, directory: str) -> None:
    route = f"/{setting(directory, 'MODEL_NAME')}/predict"
    with serving(project, directory) as port:
        said = made(project, directory, "test-endpoint", PORT=port)
        assert said == f"---> POST {route}: 4 predictions, as expected: {expected(directory)}\n"
        assert f'"Answering POST http://127.0.0.1:{port}{route}"' in made(
            project, directory, "logs"
        )
    assert is_free(port)


def test_a_server_with_keys_is_asked_with_one(project: Path, tmp_path: Path) -> None:
    (tmp_path / "my keys").write_text("a-key-of-24-characters-1\n")
    with serving(project, MODEL, API_KEY_FILE=str(tmp_path / "my keys")) as port:
        assert "as expected" in made(
            project, MODEL, "test-endpoint", PORT=port, API_KEY_FILE=str(tmp_path / "my keys")
        )
        assert "found 401" in make(project, MODEL, "test-endpoint", PORT=port).stderr


def test_a_wrong_expectation_fails_the_endpoints_test(project: Path) -> None:
    file = project / MODEL / "test/test_instances.json"
    right = file.read_text()
    with serving(project, MODEL) as port:
        file.write_text(right.replace('"expected": [', '"expected": [9'))
        done = make(project, MODEL, "test-endpoint", PORT=port)
        file.write_text(right)
    assert (done.returncode, "test-endpoint: /" in done.stderr) == (2, True)


def test_all_models_train_side_by_side_and_answer_from_one_server(project: Path) -> None:
    for model in (project / "models").glob("*.pkl"):
        model.unlink()
    made(project, "all", "-j4", "train-all")
    assert {path.stem for path in (project / "models").glob("*.pkl")} == {
        setting(name, "MODEL_NAME") for name in MODEL_DIRS
    }
    with serving(project, "all", "predict-all") as port:
        lines = made(project, "all", "test-all", PORT=port).splitlines()
        ordered = setting("all", "MODEL_DIRS").split()
        routes = [
            f"---> POST /{setting(name, 'MODEL_NAME')}/predict: 4 predictions, as expected"
            for name in ordered
        ]
        assert [line.rpartition(":")[0] for line in lines] == routes
    assert is_free(port)


def test_it_answers_once_without_a_server_and_prints_nothing_but_json(project: Path) -> None:
    payload = json.dumps(
        json.loads((ROOT / MODEL / "test/test_instances.json").read_text())["payload"]
    )
    answer = json.loads(made(project, MODEL, "predict-once", PAYLOAD=payload))
    assert answer["predictions"] == expected(MODEL)


def test_without_a_payload_it_says_what_it_wants(project: Path) -> None:
    done = make(project, MODEL, "predict-once")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "run.sh: PAYLOAD is not set; expected PAYLOAD='{\"instances\": [...]}'\n"
    )


def test_another_model_name_trains_and_serves_another_file(project: Path) -> None:
    own = project / "models" / f"{NAME}.pkl"
    made(project, MODEL, "train", "MODEL_NAME=other")
    hidden = own.rename(project / "models/hidden")
    try:
        with serving(project, MODEL, MODEL_NAME="other") as port:
            assert (
                make(project, MODEL, "test-endpoint", PORT=port, WAIT="3").returncode == 2
            )  # the Makefile's name won
        made(project, MODEL, "predict", "MODEL_NAME=other", DETACH="1", PORT=port)
        made(project, MODEL, "test-endpoint", PORT=port)
    finally:
        make(project, MODEL, "stop")
        hidden.rename(own)


def test_a_second_build_and_training_need_no_network(project: Path) -> None:
    for target in ("build-train", "train", "build-predict"):
        made(project, MODEL, target, **NO_NETWORK)
    made(project, "all", "build-predict", **NO_NETWORK)


def test_without_wheels_that_network_would_have_been_missed(clone: Path) -> None:
    for shared in ("cache", "environments"):
        (clone / ".local" / shared).unlink()
    done = make(clone, MODEL, "build-predict", **NO_NETWORK, PIP_RETRIES="0", PIP_NO_INDEX="0")
    assert (done.returncode, (clone / f".local/images/{IMAGE}-predict").exists()) == (2, False)


# Stopping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_the_foreground_it_ends_cleanly(project: Path, number: signal.Signals) -> None:
    port = str(free_port())
    env = {**os.environ, "ENGINE": "local", "PORT": port}
    command = [project / "engines/run.sh", "predict", f"{IMAGE}-predict"]
    server = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        made(project, MODEL, "test-endpoint", PORT=port)
        server.send_signal(number)
        assert server.wait(30) == 0
    finally:
        server.kill()
    assert is_free(port)


def test_ctrl_c_at_make_leaves_no_server(project: Path) -> None:
    port = str(free_port())
    env = {**os.environ, "ENGINE": "local", "PORT": port}
    quiet = subprocess.DEVNULL
    command = ["make", "-C", MODEL, "predict"]
    server = subprocess.Popen(
        command, cwd=project, env=env, stdout=quiet, stderr=quiet, start_new_session=True
    )
    made(project, MODEL, "test-endpoint", PORT=port)
    os.killpg(server.pid, signal.SIGINT)  # a terminal sends it to make and to the server
    server.wait(30)
    assert is_free(port)
    with pytest.raises(ProcessLookupError):
        os.killpg(server.pid, 0)


def test_stop_without_a_server_says_so(project: Path) -> None:
    done = make(project, MODEL, "stop")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        f"local.sh: {IMAGE}-predict is not running in the background; make predict DETACH=1 starts it\n"
        in done.stderr
    )


# Ports and what isn't there yet


@pytest.mark.parametrize("detach", ["", "1"])
def test_a_taken_port_is_named_before_anything_starts(project: Path, detach: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = make(project, MODEL, "predict", PORT=str(port), DETACH=detach)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        f"PORT={port}: Address already in use; end the other program or choose another PORT\n"
        in done.stderr
    )


def test_a_server_that_runs_already_is_not_lost(project: Path) -> None:
    with serving(project, MODEL) as port:
        made(project, MODEL, "test-endpoint", PORT=port)
        first = int((project / f".local/run/{IMAGE}-predict.pid").read_text())
        done = make(project, MODEL, "predict", DETACH="1", PORT=str(free_port()))
    stopped = is_free(port)
    with suppress(ProcessLookupError):
        os.kill(first, signal.SIGTERM)  # nothing may be left running, even when this fails
    assert (
        done.returncode,
        f"{IMAGE}-predict is running already; make stop ends it" in done.stderr,
    ) == (2, True)
    assert stopped


MISSING = {"train": "train", "predict-once": "train", "predict": "predict"}


@pytest.mark.parametrize("target", MISSING)
@pytest.mark.parametrize("detach", ["", "1"])
def test_before_a_build_the_target_that_builds_is_named(
    clone: Path, target: str, detach: str
) -> None:
    role = MISSING[target]
    done = make(clone, MODEL, target, PAYLOAD="{}", DETACH=detach, PORT=str(free_port()))
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        f"local.sh: there is no local image {IMAGE}-{role}; make build-{role} makes it\n"
        in done.stderr
    )
    assert not list((clone / ".local").glob("run/*.pid"))


def test_before_a_server_the_logs_name_what_starts_one(clone: Path) -> None:
    done = make(clone, MODEL, "logs")
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
        make(project, MODEL, "stop", *names)


# setup.sh


def test_setup_sh_runs_only_when_it_is_asked_for(clone: Path) -> None:
    (clone / MODEL / "setup.sh").write_text('touch "ran as $ROLE"\n')
    ran = clone / f".local/images/{IMAGE}-predict" / "ran as predict"
    skipped = "---> Skipping setup.sh: it installs on this machine; SETUP=1 runs it\n"
    assert (skipped in made(clone, MODEL, "build-predict"), ran.exists()) == (True, False)
    said = made(clone, MODEL, "build-predict", SETUP="1")
    assert ("---> Running setup.sh\n" in said, skipped in said, ran.exists()) == (True, False, True)
    assert not (clone / "ran as predict").exists()


# Bad data


def test_bad_data_leaves_the_old_model(project: Path) -> None:
    model = project / "models" / f"{NAME}.pkl"
    before = model.read_bytes()
    lines = (ROOT / "data/adult_income-prepped.csv").read_text().splitlines()
    (project / "data/bad.csv").write_text(
        "\n".join(line.rpartition(",")[0] for line in lines[:200])
    )
    done = make(project, MODEL, "train", "DATASET_NAME=data/bad.csv")
    assert (done.returncode, "Error 78" in done.stderr) == (2, True)
    assert "train: data/bad.csv: missing columns: income; unknown: none." in done.stderr
    assert model.read_bytes() == before
    assert not [path for path in (project / "models").iterdir() if path.name.startswith(f".{NAME}")]


@pytest.mark.parametrize(
    "name", ["../README.md", "/etc/passwd", "https://127.0.0.1:9/x.csv", "data/../../x y's.csv"]
)
def test_data_outside_of_the_data_folder_are_refused(project: Path, name: str) -> None:
    done = make(project, MODEL, "train", f"DATASET_NAME={name}")
    assert (done.returncode, f"train: $ref {name!r} is not inside data/" in done.stderr) == (
        2,
        True,
    )


# Another user

STRANGER = 12345


@pytest.fixture
def strangers_clone() -> Iterator[Path]:
    """A fresh clone that belongs to a user who isn't root, with nothing of root's."""
    home = Path(tempfile.mkdtemp(prefix="home of 12345 "))
    clone = make_clone(home)
    for shared in ("cache", "environments"):
        (clone / ".local" / shared).unlink()
    # What has been fetched already spares minutes, where another user can read it.
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
    become = [
        "setpriv",
        f"--reuid={STRANGER}",
        f"--regid={STRANGER}",
        "--clear-groups",
        "env",
        "-u",
        "PYTHON",
    ]
    paths = f"/usr/bin:/bin:{os.environ['PATH']}"
    variables = {
        "HOME": str(strangers_clone.parent),
        "PATH": paths,
        "ENGINE": "local",
        "TMPDIR": str(strangers_clone.parent),
    }
    version = run(
        *become, "python3", "-c", "import venv, sys; print(sys.version_info[:2])", env=variables
    )
    if version.returncode or not "(3, 11)" <= version.stdout.strip() <= "(3, 13)":
        pytest.skip("there is no Python 3.11-3.13 with venv that another user can run")
    command = ["make", "-s", "-C", MODEL, "build-train", "train"]
    done = run(*become, *command, cwd=strangers_clone, env=variables, seconds=180)
    assert done.returncode == 0, done.stdout + done.stderr
    status = (strangers_clone / "models" / f"{NAME}.pkl").stat()
    assert (status.st_uid, status.st_mode & 0o777) == (STRANGER, 0o644)
