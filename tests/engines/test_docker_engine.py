"""The Docker engine end to end: make's targets, and what the images promise to whoever runs them by hand."""

import json
import os
import pty
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from check_endpoint import fetch, wait_until_ready
from conftest import (
    MODEL_DIRS,
    ROOT,
    Completed,
    free_port,
    image_of,
    make,
    remove_images,
    run,
    setting,
)
from pip_settings import settings
from support.images import files_of, inspect, tags, tree_of

from utils.encode_decode import init_model

pytestmark = pytest.mark.docker

MODEL = "logisticRegression"
NAME = setting(MODEL, "MODEL_NAME")
CASE = json.loads((ROOT / MODEL / "test/test_instances.json").read_text())
PAYLOAD = {"$ref": setting(MODEL, "DATASET_NAME"), "model_name": NAME}
MEMORY = ("--memory", "512m", "--memory-swap", "512m")
HARDENED = (
    "--read-only",
    "--tmpfs",
    "/tmp",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
    *MEMORY,
)
COMPILERS = {"gcc", "g++", "cc", "c++", "clang", "make", "ld", "rustc", "go"}
WHEELS = ("--volume", "s2i-python-wheels:/var/cache/s2i")
as_root = pytest.mark.skipif(
    os.getuid() != 0, reason="only root can give a folder to somebody else"
)


def left_running(name: str) -> str:
    """The ids of containers, ended ones too, whose name begins so."""
    return run("docker", "ps", "-aq", "--filter", f"name=^{name}").stdout


@contextmanager
def serving(image: str, *arguments: str | Path) -> Iterator[str]:
    """The address of a predict image that runs with docker's arguments, and is removed in the end."""
    port = free_port()
    name = f"{image}-{port}"
    started = run("docker", "run", "-d", "--name", name, "-p", f"{port}:5000", *arguments, image)
    assert started.returncode == 0, started.stderr
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        run("docker", "rm", "-f", name)


def train_by_hand(image: str, models: Path, *arguments: str) -> Completed:
    """Runs the document's training line with further docker arguments."""
    mounts = ("-v", f"{ROOT}/data:/model/data", "-v", f"{models}:/model/models")
    return run(
        "docker",
        "run",
        "--rm",
        *arguments,
        *mounts,
        "-e",
        "TRAIN=1",
        "-e",
        f"PAYLOAD={json.dumps(PAYLOAD)}",
        image,
    )


@pytest.fixture
def models(docker_clone: Path, tmp_path: Path) -> Path:
    """A models folder of this test's own, with the trained models."""
    return Path(shutil.copytree(docker_clone / "models", tmp_path / "models"))


@pytest.mark.parametrize("directory", MODEL_DIRS)
def test_a_model_serves_in_the_background_until_stopped(docker_clone: Path, directory: str) -> None:
    port = free_port()
    assert make(docker_clone, directory, "predict", DETACH=1, PORT=port).returncode == 0
    tested = make(docker_clone, directory, "test-endpoint", PORT=port)
    logs = make(docker_clone, directory, "logs")
    stopped = make(docker_clone, directory, "stop")
    assert (tested.returncode, logs.returncode, stopped.returncode) == (0, 0, 0), (
        tested.stderr + stopped.stderr
    )
    route = f"/{setting(directory, 'MODEL_NAME')}/predict"
    assert f"POST {route}" in tested.stdout
    assert f'"Answering POST http://0.0.0.0:5000{route}"' in logs.stdout
    assert left_running(image_of(docker_clone, directory, "predict")) == ""
    assert make(docker_clone, directory, "test-endpoint", PORT=port, WAIT=1).returncode == 2
    assert make(docker_clone, directory, "logs").returncode == 2


def test_a_server_with_keys_is_asked_with_one(docker_clone: Path, tmp_path: Path) -> None:
    port, keys = free_port(), tmp_path / 'my "keys"'
    keys.write_text("a-key-of-24-characters-1\n")
    assert (
        make(docker_clone, MODEL, "predict", DETACH=1, PORT=port, API_KEY_FILE=keys).returncode == 0
    )
    known = make(docker_clone, MODEL, "test-endpoint", PORT=port, API_KEY_FILE=keys)
    stranger = make(docker_clone, MODEL, "test-endpoint", PORT=port)
    image = image_of(docker_clone, MODEL, "predict")
    written = run("docker", "exec", "--user", "0", image, "sh", "-c", 'echo >>"$API_KEY_FILE"')
    assert make(docker_clone, MODEL, "stop").returncode == 0
    assert known.returncode == 0 and "found 401" in stranger.stderr, known.stderr
    assert written.returncode != 0 and "Read-only file system" in written.stderr


def test_all_serves_every_model_from_one_container(docker_clone: Path) -> None:
    port = free_port()
    started = make(docker_clone, "all", "predict-all", DETACH=1, PORT=port)
    tested = make(docker_clone, "all", "test-all", PORT=port)
    logs = make(docker_clone, "all", "logs")
    assert make(docker_clone, "all", "stop").returncode == 0
    assert (started.returncode, tested.returncode) == (0, 0), started.stderr + tested.stderr
    assert (
        tested.stdout.count("as expected") == logs.stdout.count("Answering POST") == len(MODEL_DIRS)
    )
    assert make(docker_clone, "all", "test-all", PORT=port, WAIT=1).returncode == 2


def test_an_image_is_for_a_numeric_user_and_bears_its_own_name(docker_clone: Path) -> None:
    for role in ("train", "predict"):
        image = image_of(docker_clone, MODEL, role)
        facts = inspect(image)["Config"]
        assert facts["User"] == "1001"
        assert facts["Labels"]["io.k8s.display-name"] == image
    builder = inspect("s2i-daemon-python")["Config"]["Labels"]
    assert builder["io.openshift.s2i.assemble-user"] == "0"
    assert builder["io.k8s.display-name"] == "Serves Python models"


@as_root
@pytest.mark.parametrize("uid", [1000660000, 12345, 1001])
def test_any_user_of_group_0_trains_without_any_right(
    docker_clone: Path, tmp_path: Path, uid: int
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    os.chown(folder, 4321, 0)
    folder.chmod(0o775)
    done = train_by_hand(
        image_of(docker_clone, MODEL, "train"), folder, "--user", f"{uid}:0", *HARDENED
    )
    assert (done.returncode, done.stderr) == (0, "")
    written = folder / f"{NAME}.pkl"
    assert (written.stat().st_uid, written.stat().st_mode & 0o777) == (uid, 0o644)
    assert init_model(NAME, folder)["modelName"] == NAME
    assert [file.name for file in folder.iterdir()] == [written.name]


def test_what_needs_more_memory_than_that_is_killed(docker_clone: Path) -> None:
    program = f"print(len(bytearray({700 << 20})))"
    image = image_of(docker_clone, MODEL, "train")
    done = run("docker", "run", "--rm", *MEMORY, image, ".venv/bin/python", "-c", program)
    assert (done.returncode, done.stdout) == (137, "")


@as_root
def test_a_models_folder_that_may_not_be_written_is_named(
    docker_clone: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir(mode=0o755)
    os.chown(folder, 4321, 0)
    done = train_by_hand(image_of(docker_clone, MODEL, "train"), folder, "--user", "12345:0")
    assert done.returncode == 77
    where, _, rest = done.stderr.splitlines()[-1].rpartition(": Permission denied ")
    assert where.startswith("train: ") and "models" in where
    assert rest == (
        "for user 12345:0; give the folder to that user, or to group 0 with `chgrp 0` and `chmod g+w`"
    )
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("uid", [1000660000, 12345, 1001])
@pytest.mark.parametrize("directory", [MODEL, "all"])
def test_any_user_of_group_0_serves_without_any_right(
    docker_clone: Path, directory: str, uid: int
) -> None:
    image = image_of(docker_clone, directory, "predict")
    mount = f"{docker_clone}/models:/action/models"
    with serving(image, "--user", f"{uid}:0", *HARDENED, "-v", mount) as server:
        wait_until_ready(server, 30)
        status, answer = fetch(f"{server}/{NAME}/predict", json.dumps(CASE).encode())
        who = run(
            "docker",
            "exec",
            f"{image}-{server.rpartition(':')[2]}",
            "sh",
            "-c",
            "id -u; id -g; touch /action/x",
        )
    assert (status, answer["payload"]["predictions"]) == (200, CASE["expected"])
    assert who.stdout.split() == [str(uid), "0"]
    assert "Read-only file system" in who.stderr


def foreground(docker_clone: Path, port: int, road: str) -> list[str]:
    """The command that serves in the foreground: the document's line, or make's."""
    image = image_of(docker_clone, MODEL, "predict")
    if road == "make":
        return ["make", "-C", str(docker_clone / MODEL), "predict"]
    if road == "run.sh":
        return [str(docker_clone / "engines/run.sh"), "predict", image]
    mount = f"{docker_clone}/models:/action/models"
    return [
        "docker",
        "run",
        "--rm",
        "--name",
        f"{image}-{port}",
        "-v",
        mount,
        "-p",
        f"{port}:5000",
        image,
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("road", ["run.sh", "document"])
def test_a_signal_ends_the_foreground_cleanly(docker_clone: Path, road: str, number: int) -> None:
    port = free_port()
    command = foreground(docker_clone, port, road)
    env = {**os.environ, "ENGINE": "docker", "PORT": str(port)}
    with subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as server:
        wait_until_ready(f"http://127.0.0.1:{port}", 30)
        server.send_signal(number)
        output = server.communicate(timeout=30)[0].decode()
    assert server.returncode == 0, output
    assert "Traceback" not in output
    assert left_running(image_of(docker_clone, MODEL, "predict")) == ""


def test_ctrl_c_at_a_terminal_ends_make_predict_cleanly(docker_clone: Path) -> None:
    port = free_port()
    ours, theirs = pty.openpty()
    env = {**os.environ, "ENGINE": "docker", "PORT": str(port), "TERM": "dumb"}
    command = foreground(docker_clone, port, "make")
    with subprocess.Popen(
        command, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as server:
        os.close(theirs)
        wait_until_ready(f"http://127.0.0.1:{port}", 30)
        assert server.poll() is None
        os.write(ours, b"\x03")
        assert server.wait(30) == 0
    os.close(ours)
    assert left_running(image_of(docker_clone, MODEL, "predict")) == ""


def test_sigkill_shows_what_an_unclean_end_looks_like(docker_clone: Path) -> None:
    image = image_of(docker_clone, MODEL, "predict")
    with serving(image, "-v", f"{docker_clone}/models:/action/models") as server:
        name = f"{image}-{server.rpartition(':')[2]}"
        wait_until_ready(server, 30)
        run("docker", "kill", name)
        assert run("docker", "wait", name).stdout == "137\n"
        assert left_running(name) != ""


def test_predict_once_answers_as_json_without_a_server(docker_clone: Path) -> None:
    done = make(docker_clone, MODEL, "predict-once", PAYLOAD=json.dumps(CASE["payload"]))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["predictions"] == CASE["expected"]
    row = [*CASE["payload"]["instances"][0][:-1], "no-such-country"]
    wrong = make(docker_clone, MODEL, "predict-once", PAYLOAD=json.dumps({"instances": [row]}))
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "no-such-country" in wrong.stderr and "Traceback" not in wrong.stderr


def test_a_signed_model_answers_with_its_key_and_not_with_another(
    docker_clone: Path, tmp_path: Path
) -> None:
    keys = {name: tmp_path / name for name in ("own", "another")}
    for name, file in keys.items():
        file.write_text(f"{name:x<64}\n")
    signed = make(docker_clone, MODEL, "train", MODEL_HMAC_KEY_FILE=keys["own"])
    assert signed.returncode == 0, signed.stderr
    payload = json.dumps(CASE["payload"])
    known = make(
        docker_clone, MODEL, "predict-once", PAYLOAD=payload, MODEL_HMAC_KEY_FILE=keys["own"]
    )
    assert known.returncode == 0 and json.loads(known.stdout)["predictions"] == CASE["expected"], (
        known.stderr
    )
    stranger = make(
        docker_clone, MODEL, "predict-once", PAYLOAD=payload, MODEL_HMAC_KEY_FILE=keys["another"]
    )
    assert (stranger.returncode, stranger.stdout) == (2, "")
    assert "its HMAC is of none of the keys in MODEL_HMAC_KEY_FILE" in stranger.stderr


@pytest.mark.parametrize("variable", ["MODElNAME", "MODEL_NAME"])
def test_either_spelling_names_the_model_file(
    docker_clone: Path, models: Path, variable: str
) -> None:
    image = image_of(docker_clone, MODEL, "predict")
    (models / f"{NAME}.pkl").rename(models / "another.pkl")
    mount = ("-v", f"{models}:/action/models")
    with serving(image, *mount, "-e", f"{variable}=another") as server:
        wait_until_ready(server, 30)
        assert fetch(f"{server}/ready")[1]["routes"][f"/{NAME}/predict"]["model"] == "another"
    with serving(image, *mount) as server:
        status, answer = answer_of_ready(server)
    assert status == 503 and NAME in answer["error"]["message"]


def answer_of_ready(server: str) -> tuple[int, dict]:
    """Status and body of /ready once the server answers at all."""
    for _ in range(100):
        try:
            return fetch(f"{server}/ready")
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{server} doesn't answer")


def test_a_taken_port_is_named_before_anything_starts(docker_clone: Path) -> None:
    with serving(image_of(docker_clone, "all", "predict")) as server:
        port = server.rpartition(":")[2]
        refused = make(docker_clone, MODEL, "predict", PORT=port)
    assert (
        f"PORT={port}: Address already in use; end the other program or choose another PORT\n"
        in refused.stderr
    )
    assert refused.returncode == 2
    assert left_running(image_of(docker_clone, MODEL, "predict")) == ""


def test_a_server_that_runs_already_is_named(docker_clone: Path) -> None:
    image = image_of(docker_clone, MODEL, "predict")
    assert make(docker_clone, MODEL, "predict", DETACH=1, PORT=free_port()).returncode == 0
    second = make(docker_clone, MODEL, "predict", DETACH=1, PORT=free_port())
    assert make(docker_clone, MODEL, "stop").returncode == 0
    assert second.returncode == 2
    assert f"docker.sh: {image} is running already; make stop ends it\n" in second.stderr


@pytest.mark.parametrize("target", ["stop", "logs"])
def test_a_server_that_never_ran_is_named(docker_clone: Path, target: str) -> None:
    image = image_of(docker_clone, MODEL, "predict")
    refused = make(docker_clone, MODEL, target)
    assert refused.returncode == 2
    assert f"docker.sh: {image} is not running" in refused.stderr


@pytest.mark.parametrize(
    "image, role", [("s2i-model-python", "train"), ("s2i-daemon-python", "predict")]
)
def test_a_builder_run_without_arguments_tells_how_to_use_it(
    docker_clone: Path, image: str, role: str
) -> None:
    shown = run("docker", "run", "--rm", image)
    told = run("bash", ROOT / "builders/s2i/bin/usage", env={"ROLE": role}).stdout
    assert (shown.returncode, shown.stdout) == (0, told)
    assert told.count(f"s2i build -c CONTEXT THIS_IMAGE NAME-{role}\n") == 1


def traces(image: str, builder: str, app_root: str, scratch: Path) -> list[str]:
    """What a build has left in an image beside the application: files, and texts of its environment."""
    before, after = files_of(builder, scratch), files_of(image, scratch)
    modes = {str(name): int(str(mode)) for name, mode, *_ in tree_of(image, scratch)}
    mounted = (
        "run/s2i-settings",
        "var/cache/s2i",
        "tmp/src",
        "tmp/scripts",
        "tmp/artifacts",
    )  # empty folders
    found = [
        name for name in after if name not in before and not f"{name}/".startswith(f"{app_root}/")
    ]
    found = [name for name in found if name not in mounted]
    found += [
        name
        for name in after
        if {"pip", "uv", "ca.crt"} & set(Path(name).parts) and ".venv" in name
    ]
    found += [name for name in after if name not in before and b"/run/s2i-settings" in after[name]]
    found += [
        name
        for name in after
        if name not in before and (modes[name] & 0o6000 or Path(name).name in COMPILERS)
    ]
    said = (
        json.dumps(inspect(image)["Config"]) + run("docker", "history", "--no-trunc", image).stdout
    )
    private = {word for key, value in settings().items() for word in (key, value)}
    return found + [word for word in ("PIP_", "UV_", "s2i-settings", *private) if word in said]


@pytest.mark.parametrize("role, builder, app_root", [
    ("train", "s2i-model-python", "model"),
    ("predict", "s2i-daemon-python", "action"),
])  # fmt: skip
def test_nothing_of_the_build_stays_in_the_image(
    docker_clone: Path, tmp_path: Path, role: str, builder: str, app_root: str
) -> None:
    assert traces(image_of(docker_clone, MODEL, role), builder, app_root, tmp_path) == []


@pytest.mark.parametrize("role", ["train", "predict"])
def test_two_builds_have_the_same_file_tree(docker_clone: Path, tmp_path: Path, role: str) -> None:
    image, again = image_of(docker_clone, MODEL, role), f"{docker_clone.parent.name}-again-{role}"
    built = run(docker_clone / "build.sh", again, MODEL, role, env={"ENGINE": "docker"})
    assert built.returncode == 0, built.stderr
    assert inspect(image)["Id"] != inspect(again)["Id"]  # their times differ
    tree = tree_of(image, tmp_path)
    assert tree == tree_of(again, tmp_path)
    source = docker_clone / MODEL / f"{role}.py"
    text = source.read_text()
    source.write_text(f"{text}# another line\n")
    built = run(docker_clone / "build.sh", again, MODEL, role, env={"ENGINE": "docker"})
    source.write_text(text)
    differ = {
        Path(str(entry[0])).name.partition(".")[0] for entry in tree ^ tree_of(again, tmp_path)
    }
    assert (built.returncode, differ) == (0, {role})


def by_hand(context: Path, image: str, *arguments: str) -> Completed:
    """`s2i build -c` of a context for training, with the wheels that earlier builds have fetched."""
    s2i = shutil.which("s2i") or ROOT / "tools/bin/s2i"
    return run(
        s2i,
        "build",
        "-c",
        context,
        "s2i-model-python",
        image,
        "--pull-policy",
        "never",
        *WHEELS,
        *arguments,
    )


@pytest.fixture
def tiny(tmp_path: Path, docker_clone: Path) -> Iterator[tuple[Path, str]]:
    """The smallest application that trains, and a name for its image, which is removed in the end."""
    context = tmp_path / "context"
    (context / ".s2i").mkdir(parents=True)
    (context / ".s2i/environment").write_text("TRAIN_MODULE=app\nTRAIN_FUNCTION=train\n")
    (context / "app.py").write_text("def train(msg):\n    print(msg.payload)\n")
    prefix = f"{docker_clone.parent.name}tiny"
    yield context, f"{prefix}-train"
    remove_images(prefix)


def test_what_a_build_leaves_behind_is_found(tiny: tuple[Path, str], tmp_path: Path) -> None:
    context, image = tiny
    (context / "setup.sh").write_text(
        "echo text >/opt/left-behind\ninstall -m 4755 /bin/true /model/gcc\n"
    )
    built = by_hand(context, image, "-e", "UV_INSECURE_HOST=index.example")
    assert built.returncode == 0, built.stderr
    assert traces(image, "s2i-model-python", "model", tmp_path) == [
        "opt/left-behind",
        "model/gcc",
        "UV_",
    ]


def test_an_incremental_build_takes_over_the_environment(tiny: tuple[Path, str]) -> None:
    context, image = tiny
    assert "---> Installing" in by_hand(context, image).stderr
    (context / "app.py").write_text("def train(msg):\n    print('second', msg.payload)\n")
    again = by_hand(context, image, "--incremental", "--rm")
    assert again.returncode == 0 and "---> Installing" not in again.stderr, again.stderr
    assert (
        run("docker", "run", "--rm", "-e", "TRAIN=1", "-e", "PAYLOAD=7", image).stdout
        == "second 7\n"
    )


def test_a_sound_build_moves_the_tag(victim: tuple[Path, str]) -> None:
    directory, image = victim
    before = inspect(image)["Id"]
    built = make(directory.parent, directory.name, "build-predict")
    assert built.returncode == 0, built.stderr
    assert inspect(image)["Id"] != before
    assert ":unfinished" not in tags()


def test_training_waits_for_its_build_when_jobs_run_side_by_side(victim: tuple[Path, str]) -> None:
    directory, _ = victim
    done = make(directory.parent, directory.name, "-j4", "build-train", "train")
    assert done.returncode == 0, done.stderr


def test_a_base_image_that_cannot_be_had_names_both_ways_out(docker_clone: Path) -> None:
    failed = make(docker_clone, ".", "builders", BASE_IMAGE="none/such:1")
    assert failed.returncode == 2
    assert (
        "builders.sh: base image none/such:1 can't be had: name another with BASE_IMAGE=, or do without Docker: "
        "ENGINE=local\n"
    ) in failed.stderr


@pytest.fixture
def rootless_builders(docker_clone: Path) -> Iterator[None]:
    """Builder images for clusters that refuse root builds; the default ones again in the end."""
    made = make(docker_clone, ".", "builders", ASSEMBLE_USER=1001)
    assert made.returncode == 0, made.stderr
    rootless = [inspect(f"s2i-{target}-python")["Id"] for target in ("model", "daemon")]
    yield
    assert make(docker_clone, ".", "builders").returncode == 0
    run("docker", "rmi", *rootless)


@pytest.mark.usefixtures("rootless_builders")
def test_without_root_a_model_builds_and_a_setup_that_needs_root_fails(
    victim: tuple[Path, str],
) -> None:
    directory, image = victim
    assert (
        inspect("s2i-daemon-python")["Config"]["Labels"]["io.openshift.s2i.assemble-user"] == "1001"
    )
    built = make(directory.parent, directory.name, "build-predict")
    assert built.returncode == 0, built.stderr
    before = inspect(image)["Id"]
    (directory / "setup.sh").write_text("set -e\necho x >/etc/needs-root\n")
    failed = make(directory.parent, directory.name, "build-predict")
    assert failed.returncode == 2
    reason = "assemble: setup.sh failed as user 1001; what needs root needs a builder made with ASSEMBLE_USER=0\n"
    assert reason in failed.stderr
    assert inspect(image)["Id"] == before


def imported(tag: str) -> str:
    """The id of a new image with nothing in it, under a name."""
    return run(
        "bash",
        "-c",
        f"date +%N >note && tar -c note | docker import - {tag}",
        cwd=Path(os.getcwd()),
    ).stdout.strip()


def test_a_build_takes_the_name_leaves_other_names_and_nothing_nameless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    image = f"keep-{os.getpid()}"
    ids = []
    for build in range(3):
        ids.append(imported(f"{image}:unfinished"))
        if build == 1:
            run("docker", "tag", image, f"{image}:released")
        assert (
            run(ROOT / "engines/keep.sh", f"{image}:unfinished", image, "0", tmp_path).returncode
            == 0
        )
    there = [run("docker", "image", "inspect", one).returncode == 0 for one in ids]
    released = run(
        "docker", "image", "inspect", "--format", "{{.Id}}", f"{image}:released"
    ).stdout.strip()
    run("docker", "rmi", image, f"{image}:released")
    assert (there, released) == ([True, False, True], ids[0])
