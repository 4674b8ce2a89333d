"""The Docker engine, end to end: make targets, and images run with docker."""

import json
import os
import pty
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from pip_settings import settings
from readiness import wait_until_ready
from support.commands import ROOT, Completed, clean_environment, output_of, run, wait_until
from support.docker import (
    files_of,
    image_of,
    inspect,
    make_docker,
    mount_settings,
    remove_images,
    s2i_build,
    tags,
    tree_of,
)
from support.models import FASTEST, MODEL_DIRS, example, example_body, setting
from support.network import free_port

from utils.encode_decode import init_model

pytestmark = pytest.mark.docker

MODEL = FASTEST
NAME = setting(MODEL, "MODEL_NAME")
PAYLOAD = {"$ref": setting(MODEL, "DATASET_NAME"), "model_name": NAME}
MEMORY = ("--memory", "512m", "--memory-swap", "512m")
HARDENED = (
    *("--read-only", "--tmpfs", "/tmp"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *MEMORY,
)
COMPILERS = {"gcc", "g++", "cc", "c++", "clang", "make", "ld", "rustc", "go"}
# The packages that earlier builds have downloaded.
WHEELS = ("--volume", "s2i-python-wheels:/var/cache/s2i")
# Empty folders of a build.
MOUNTED = (
    *("run/s2i-settings", "run/s2i-source", "var/cache/s2i"),
    *("tmp/src", "tmp/scripts", "tmp/artifacts"),
)
HTTP = requests.Session()
HTTP.trust_env = False
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another user")


def containers(name: str) -> str:
    """Return the ids of all containers, also stopped ones, with this name prefix."""
    return run("docker", "ps", "-aq", "--filter", f"name=^{name}").stdout


def container_name(image: str, server: str) -> str:
    """Return the name of the container that `serving` runs at an address."""
    return f"{image}-{server.rpartition(':')[2]}"


@contextmanager
def serving(image: str, *arguments: object) -> Iterator[str]:
    """Run a predict image with docker arguments; yield its address, then remove it."""
    port = free_port()
    server = f"http://127.0.0.1:{port}"
    name = container_name(image, server)
    output_of(run("docker", "run", "-d", "--name", name, "-p", f"{port}:5000", *arguments, image))
    try:
        yield server
    finally:
        run("docker", "rm", "-f", name)


def predict(server: str) -> requests.Response:
    """Post the model's test instances."""
    headers = {"Content-Type": "application/json"}
    return HTTP.post(f"{server}/{NAME}/predict", example_body(MODEL), headers=headers, timeout=30)


def ready(server: str) -> requests.Response:
    """Return the response of /ready, as soon as the server responds."""

    def response() -> list[requests.Response]:
        # The function returns a list, because a response with an error status is false.
        try:
            return [HTTP.get(f"{server}/ready", timeout=30)]
        except requests.ConnectionError:
            return []

    return wait_until(response, 20)[0]


def train_by_hand(image: str, models: Path, *arguments: str) -> Completed:
    """Run the document's training line with further docker arguments."""
    mounts = ("-v", f"{ROOT}/data:/model/data", "-v", f"{models}:/model/models")
    variables = ("-e", "TRAIN=1", "-e", f"PAYLOAD={json.dumps(PAYLOAD)}")
    return run("docker", "run", "--rm", *arguments, *mounts, *variables, image)


def mounted_models(docker_clone: Path) -> tuple[str, str]:
    """Return the arguments that mount a clone's models into a predict image."""
    return ("-v", f"{docker_clone}/models:/action/models")


@pytest.fixture
def models(docker_clone: Path, tmp_path: Path) -> Path:
    """A separate models folder for this test, with the trained models."""
    return Path(shutil.copytree(docker_clone / "models", tmp_path / "models"))


# Serving with make


@pytest.mark.parametrize("directory", MODEL_DIRS)
def test_a_model_serves_in_the_background_until_stopped(docker_clone: Path, directory: str) -> None:
    port = free_port()
    output_of(make_docker(docker_clone, directory, "predict", DETACH=1, PORT=port))
    tested = make_docker(docker_clone, directory, "test-endpoint", PORT=port)
    logs = make_docker(docker_clone, directory, "logs")
    output_of(make_docker(docker_clone, directory, "stop"))

    route = f"/{setting(directory, 'MODEL_NAME')}/predict"
    assert f"POST {route}" in output_of(tested)
    assert f'"Answering POST http://127.0.0.1:{port}{route}"' in output_of(logs)

    assert containers(image_of(docker_clone, directory, "predict")) == ""
    tested = make_docker(docker_clone, directory, "test-endpoint", PORT=port, WAIT=1)
    assert tested.returncode == 2
    assert make_docker(docker_clone, directory, "logs").returncode == 2


def test_a_server_with_keys_answers_a_request_with_one(docker_clone: Path, tmp_path: Path) -> None:
    port = free_port()
    keys = tmp_path / 'my "keys"'
    keys.write_text("a-key-of-24-characters-1\n")

    output_of(make_docker(docker_clone, MODEL, "predict", DETACH=1, PORT=port, API_KEY_FILE=keys))
    with_key = make_docker(docker_clone, MODEL, "test-endpoint", PORT=port, API_KEY_FILE=keys)
    without_key = make_docker(docker_clone, MODEL, "test-endpoint", PORT=port)
    image = image_of(docker_clone, MODEL, "predict")
    written = run("docker", "exec", "--user", "0", image, "sh", "-c", 'echo >>"$API_KEY_FILE"')
    output_of(make_docker(docker_clone, MODEL, "stop"))

    output_of(with_key)
    assert "found 401" in without_key.stderr
    assert written.returncode != 0
    assert "Read-only file system" in written.stderr


def test_all_serves_every_model_from_one_container(docker_clone: Path) -> None:
    port = free_port()
    started = make_docker(docker_clone, "all", "predict-all", DETACH=1, PORT=port)
    tested = make_docker(docker_clone, "all", "test-all", PORT=port)
    logs = make_docker(docker_clone, "all", "logs")
    output_of(make_docker(docker_clone, "all", "stop"))

    output_of(started)
    assert output_of(tested).count("as expected") == len(MODEL_DIRS)
    assert output_of(logs).count("Answering POST") == len(MODEL_DIRS)
    assert make_docker(docker_clone, "all", "test-all", PORT=port, WAIT=1).returncode == 2


def test_a_port_in_use_is_named_before_anything_starts(docker_clone: Path) -> None:
    image = image_of(docker_clone, "all", "predict")
    with serving(image) as server:
        port = server.rpartition(":")[2]
        refused = make_docker(docker_clone, MODEL, "predict", PORT=port)
        user = container_name(image, server)
    problem = f"PORT={port}: {user} uses it"
    assert refused.returncode == 2
    assert f"{problem}. Stop it with docker stop {user}, or set another PORT.\n" in refused.stderr
    assert containers(image_of(docker_clone, MODEL, "predict")) == ""


def test_a_server_that_runs_already_is_named(docker_clone: Path) -> None:
    image = image_of(docker_clone, MODEL, "predict")
    output_of(make_docker(docker_clone, MODEL, "predict", DETACH=1, PORT=free_port()))
    second = make_docker(docker_clone, MODEL, "predict", DETACH=1, PORT=free_port())
    output_of(make_docker(docker_clone, MODEL, "stop"))
    assert second.returncode == 2
    assert f"docker.sh: {image} is already running. make stop stops it.\n" in second.stderr


@pytest.mark.parametrize("target", ["stop", "logs"])
def test_a_server_that_never_ran_is_named(docker_clone: Path, target: str) -> None:
    image = image_of(docker_clone, MODEL, "predict")
    refused = make_docker(docker_clone, MODEL, target)
    assert refused.returncode == 2
    assert f"docker.sh: {image} is not running" in refused.stderr


def foreground(docker_clone: Path, port: int, command: str) -> list[str]:
    """Return a command that serves: the one of make, of run.sh or of the document."""
    image = image_of(docker_clone, MODEL, "predict")
    if command == "make":
        return ["make", "-C", str(docker_clone / MODEL), "predict"]
    if command == "run.sh":
        return [str(docker_clone / "engines/run.sh"), "predict", image]
    name = container_name(image, f"http://127.0.0.1:{port}")
    published = ["-p", f"{port}:5000"]
    return [
        *("docker", "run", "--rm", "--name", name),
        *mounted_models(docker_clone),
        *published,
        image,
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["run.sh", "document"])
def test_a_signal_ends_the_foreground_cleanly(
    docker_clone: Path, command: str, number: int
) -> None:
    port = free_port()
    with subprocess.Popen(
        foreground(docker_clone, port, command),
        env=clean_environment(ENGINE="docker", PORT=str(port)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as server:
        wait_until_ready(f"http://127.0.0.1:{port}", 30)
        server.send_signal(number)
        output = server.communicate(timeout=30)[0].decode()
    assert server.returncode == 0, output
    assert "Traceback" not in output
    assert containers(image_of(docker_clone, MODEL, "predict")) == ""


def test_ctrl_c_at_a_terminal_ends_make_predict_cleanly(docker_clone: Path) -> None:
    port = free_port()
    keyboard, terminal = pty.openpty()
    with subprocess.Popen(
        foreground(docker_clone, port, "make"),
        env=clean_environment(ENGINE="docker", PORT=str(port), TERM="dumb"),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    ) as server:
        os.close(terminal)
        wait_until_ready(f"http://127.0.0.1:{port}", 30)
        assert server.poll() is None
        os.write(keyboard, b"\x03")
        assert server.wait(30) == 0
    os.close(keyboard)
    assert containers(image_of(docker_clone, MODEL, "predict")) == ""


def test_sigkill_leaves_an_ended_container(docker_clone: Path) -> None:
    image = image_of(docker_clone, MODEL, "predict")
    with serving(image, *mounted_models(docker_clone)) as server:
        name = container_name(image, server)
        wait_until_ready(server, 30)
        run("docker", "kill", name)
        assert run("docker", "wait", name).stdout == "137\n"
        assert containers(name) != ""


# Predicting without a server, keys, names of models


def test_predict_once_answers_as_json_without_a_server(docker_clone: Path) -> None:
    case = example(MODEL)
    payload = json.dumps(case["payload"])
    output = output_of(make_docker(docker_clone, MODEL, "predict-once", PAYLOAD=payload))
    assert json.loads(output)["predictions"] == case["expected"]

    row = [*case["payload"]["instances"][0][:-1], "no-such-country"]
    payload = json.dumps({"instances": [row]})
    wrong = make_docker(docker_clone, MODEL, "predict-once", PAYLOAD=payload)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "no-such-country" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_signed_model_answers_with_its_key_and_not_with_another(
    docker_clone: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    other = tmp_path / "other"
    for file in (own, other):
        file.write_text(f"{file.name:x<64}\n")
    case = example(MODEL)
    payload = json.dumps(case["payload"])

    output_of(make_docker(docker_clone, MODEL, "train", MODEL_HMAC_KEY_FILE=own))
    answer = make_docker(
        docker_clone, MODEL, "predict-once", PAYLOAD=payload, MODEL_HMAC_KEY_FILE=own
    )
    assert json.loads(output_of(answer))["predictions"] == case["expected"]

    refused = make_docker(
        docker_clone, MODEL, "predict-once", PAYLOAD=payload, MODEL_HMAC_KEY_FILE=other
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Signature matches no key in MODEL_HMAC_KEY_FILE" in refused.stderr


@pytest.mark.parametrize("variable", ["MODElNAME", "MODEL_NAME"])
def test_either_spelling_names_the_model_file(
    docker_clone: Path, models: Path, variable: str
) -> None:
    image = image_of(docker_clone, MODEL, "predict")
    (models / f"{NAME}.pkl").rename(models / "another.pkl")
    mount = ("-v", f"{models}:/action/models")

    with serving(image, *mount, "-e", f"{variable}=another") as server:
        wait_until_ready(server, 30)
        routes = ready(server).json()["routes"]
    assert routes[f"/{NAME}/predict"]["model"] == "another"

    with serving(image, *mount) as server:
        response = ready(server)
    assert response.status_code == 503
    assert NAME in response.json()["error"]["message"]


# Users, permissions, limits


def test_an_image_is_for_a_numeric_user_and_has_its_own_name(docker_clone: Path) -> None:
    for role in ("train", "predict"):
        image = image_of(docker_clone, MODEL, role)
        config = inspect(image)["Config"]
        assert config["User"] == "1001"
        assert config["Labels"]["io.k8s.display-name"] == image

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

    image = image_of(docker_clone, MODEL, "train")
    done = train_by_hand(image, folder, "--user", f"{uid}:0", *HARDENED)
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
    file, _, reason = done.stderr.splitlines()[-1].rpartition(": Permission denied ")
    assert file.startswith("train: ")
    assert "models" in file
    assert reason == (
        "for user 12345:0. "
        "Give the folder to that user, or to group 0 with `chgrp 0` and `chmod g+w`."
    )
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("uid", [1000660000, 12345, 1001])
@pytest.mark.parametrize("directory", [MODEL, "all"])
def test_any_user_of_group_0_serves_without_any_right(
    docker_clone: Path, directory: str, uid: int
) -> None:
    image = image_of(docker_clone, directory, "predict")
    arguments = ("--user", f"{uid}:0", *HARDENED, *mounted_models(docker_clone))
    with serving(image, *arguments) as server:
        wait_until_ready(server, 30)
        response = predict(server)
        program = "id -u; id -g; touch /action/x"
        shell = run("docker", "exec", container_name(image, server), "sh", "-c", program)

    assert response.status_code == 200
    assert response.json()["payload"]["predictions"] == example(MODEL)["expected"]
    assert shell.stdout.split() == [str(uid), "0"]
    assert "Read-only file system" in shell.stderr


# Prints the files and folders of an application that its user can write.
WRITABLE = """
cd "$APP_ROOT"
find . "$BUILDERS" -writable ! -type l | grep -v "^./models\\|^./data" | head -n 5
for path in models data; do
  [ ! -d "$path" ] || touch "$path/written" || echo "$path is read-only"
done
"""


def writable_in(image: str, user: str) -> list[str]:
    """Return what a user can write in an image, other than models/ and data/."""
    environment = ("--env", "BUILDERS=/opt/builders")
    command = ("docker", "run", "--rm", "--user", user, *environment, "--entrypoint", "sh")
    return output_of(run(*command, image, "-c", WRITABLE)).splitlines()


@pytest.mark.parametrize("role", ["train", "predict"])
@pytest.mark.parametrize("user", ["1001:0", "12345:0", "1001:1001"])
def test_a_container_cannot_change_its_code_or_packages(
    docker_clone: Path, role: str, user: str
) -> None:
    found = writable_in(image_of(docker_clone, MODEL, role), user)
    # A user outside group 0 cannot write models/ either.
    expected = [] if user.endswith(":0") or user.startswith("1001") else ["models is read-only"]
    assert found == expected


def test_control_an_image_that_group_0_can_write_is_found(
    docker_clone: Path, tmp_path: Path
) -> None:
    image = image_of(docker_clone, MODEL, "predict")
    changed = f"{docker_clone.parent.name}-writable-predict"
    lines = f"FROM {image}\nUSER 0\nRUN chmod -R g+w /action\nUSER 1001\n"
    (tmp_path / "Dockerfile").write_text(lines)
    output_of(run("docker", "build", "--quiet", "--tag", changed, tmp_path))
    assert len(writable_in(changed, "12345:0")) == 5


def test_make_predict_starts_a_container_without_rights(docker_clone: Path) -> None:
    image = image_of(docker_clone, MODEL, "predict")
    for read_only, expected in (("", True), ("0", False)):
        port = str(free_port())
        output_of(
            make_docker(docker_clone, MODEL, "predict", DETACH="1", PORT=port, READ_ONLY=read_only)
        )
        try:
            container = run("docker", "container", "inspect", image).stdout
        finally:
            output_of(make_docker(docker_clone, MODEL, "stop"))
        host = json.loads(container)[0]["HostConfig"]
        assert host["ReadonlyRootfs"] is expected
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["PortBindings"] == {"5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]}


# Labels


def test_an_image_has_the_labels_of_the_oci_specification(
    docker_clone: Path, tmp_path: Path
) -> None:
    image = f"{docker_clone.parent.name}-labels-predict"
    build = (docker_clone / "build.sh", image, MODEL, "predict")
    variables = {"ENGINE": "docker", "SOURCE_DATE_EPOCH": "1700000000", "TMPDIR": str(tmp_path)}
    output_of(run(*build, env=variables))
    labels = inspect(image)["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == image
    assert labels["org.opencontainers.image.created"] == "2023-11-14T22:13:20Z"
    # This clone is not a git repository.
    assert labels["org.opencontainers.image.revision"] == ""
    assert [name for name, value in labels.items() if str(tmp_path) in value] == []
    assert [name for name, value in labels.items() if "unfinished" in value] == []


# What a build leaves in an image


def left_files(image: str, builder: str, app_root: str, scratch: Path) -> list[str]:
    """Return the files of an image that do not belong to the application."""
    before = files_of(builder, scratch)
    after = files_of(image, scratch)
    modes = {str(name): int(str(mode)) for name, mode, *_ in tree_of(image, scratch)}

    found = []
    for name, content in after.items():
        parts = set(Path(name).parts)
        is_installer = {"pip", "uv", "ca.crt"} & parts and ".venv" in name
        if is_installer:
            found.append(name)
        if name in before or name in MOUNTED:
            continue
        is_outside = not f"{name}/".startswith(f"{app_root}/")
        is_dangerous = modes[name] & 0o6000 or Path(name).name in COMPILERS
        if is_outside or is_dangerous or b"/run/s2i-settings" in content:
            found.append(name)
    return found


def left_texts(image: str) -> list[str]:
    """Return the build settings that are still in the configuration of an image."""
    configuration = json.dumps(inspect(image)["Config"])
    history = run("docker", "history", "--no-trunc", image).stdout
    texts = ["PIP_", "UV_", "s2i-settings"]
    for name, value in settings().items():
        # A short value, such as a number of seconds, is also a part of digests.
        texts += [name, value] if len(value) > 8 else [name]
    return [text for text in texts if text in configuration + history]


@pytest.mark.parametrize(
    "role, builder, app_root",
    [
        ("train", "s2i-model-python", "model"),
        ("predict", "s2i-daemon-python", "action"),
    ],
)
def test_nothing_of_the_build_stays_in_the_image(
    docker_clone: Path, tmp_path: Path, role: str, builder: str, app_root: str
) -> None:
    image = image_of(docker_clone, MODEL, role)
    assert left_files(image, builder, app_root, tmp_path) == []
    assert left_texts(image) == []


@pytest.fixture
def tiny(tmp_path: Path, docker_clone: Path) -> Iterator[tuple[Path, str]]:
    """The smallest application that trains, and the name of its image."""
    context = tmp_path / "context"
    (context / ".s2i").mkdir(parents=True)
    (context / ".s2i/environment").write_text("TRAIN_MODULE=app\nTRAIN_FUNCTION=train\n")
    (context / "app.py").write_text("def train(msg):\n    print(msg.payload)\n")
    prefix = f"{docker_clone.parent.name}tiny"
    yield context, f"{prefix}-train"
    remove_images(prefix)


def test_what_a_build_leaves_behind_is_found(tiny: tuple[Path, str], tmp_path: Path) -> None:
    context, image = tiny
    lines = ["echo text >/opt/left-behind", "install -m 4755 /bin/true /model/gcc", ""]
    (context / "setup.sh").write_text("\n".join(lines))
    setting_in_image = ("-e", "UV_INSECURE_HOST=index.example")
    options = (*WHEELS, *mount_settings(tmp_path / "settings"), *setting_in_image)
    output_of(s2i_build(context, "s2i-model-python", image, *options))

    found = left_files(image, "s2i-model-python", "model", tmp_path)
    assert sorted(found) == ["model/gcc", "opt/left-behind"]
    assert left_texts(image) == ["UV_"]


@pytest.mark.parametrize("role", ["train", "predict"])
def test_two_builds_have_the_same_file_tree(docker_clone: Path, tmp_path: Path, role: str) -> None:
    image = image_of(docker_clone, MODEL, role)
    again = f"{docker_clone.parent.name}-again-{role}"
    build = (docker_clone / "build.sh", again, MODEL, role)
    tree = tree_of(image, tmp_path)

    output_of(run(*build, env={"ENGINE": "docker"}))
    # Their times differ.
    assert inspect(image)["Id"] != inspect(again)["Id"]
    assert tree == tree_of(again, tmp_path)

    source = docker_clone / MODEL / f"{role}.py"
    text = source.read_text()
    source.write_text(f"{text}# another line\n")
    changed = run(*build, env={"ENGINE": "docker"})
    source.write_text(text)
    output_of(changed)
    differing = {Path(str(entry[0])) for entry in tree ^ tree_of(again, tmp_path)}
    # The file environment has the digest of the source.
    assert {path.name.partition(".")[0] for path in differing} == {role, "environment"}


# Builds


def test_an_incremental_build_keeps_the_environment(tiny: tuple[Path, str], tmp_path: Path) -> None:
    context, image = tiny
    options = (*WHEELS, *mount_settings(tmp_path / "settings"))
    first = s2i_build(context, "s2i-model-python", image, *options)
    assert "---> Installing" in first.stderr

    (context / "app.py").write_text("def train(msg):\n    print('second', msg.payload)\n")
    again = s2i_build(context, "s2i-model-python", image, *options, "--incremental", "--rm")
    output_of(again)
    assert "---> Installing" not in again.stderr

    variables = ("-e", "TRAIN=1", "-e", "PAYLOAD=7")
    trained = run("docker", "run", "--rm", *variables, image)
    assert output_of(trained) == "second 7\n"


def test_a_build_that_succeeds_moves_the_tag(victim: tuple[Path, str]) -> None:
    directory, image = victim
    before = inspect(image)["Id"]
    output_of(make_docker(directory.parent, directory.name, "build-predict"))
    assert inspect(image)["Id"] != before
    assert ":unfinished" not in tags()


def test_a_build_takes_the_name_and_leaves_other_names_and_nothing_nameless(
    victim: tuple[Path, str],
) -> None:
    directory, image = victim
    ids = []
    for number in range(3):
        with (directory / "predict.py").open("a") as source:
            source.write(f"# build {number}\n")
        output_of(make_docker(directory.parent, directory.name, "build-predict"))
        ids.append(inspect(image)["Id"])
        if number == 0:
            run("docker", "tag", image, f"{image}:released")

    exist = [run("docker", "image", "inspect", one).returncode == 0 for one in ids]
    released = inspect(f"{image}:released")["Id"]
    run("docker", "rmi", f"{image}:released")
    assert exist == [True, False, True]
    assert released == ids[0]


def test_training_waits_for_its_build_when_jobs_run_in_parallel(victim: tuple[Path, str]) -> None:
    directory, _ = victim
    output_of(make_docker(directory.parent, directory.name, "-j4", "build-train", "train"))


# Builder images


@pytest.mark.parametrize(
    "image, role", [("s2i-model-python", "train"), ("s2i-daemon-python", "predict")]
)
def test_a_builder_run_without_arguments_prints_its_usage(
    docker_clone: Path, image: str, role: str
) -> None:
    usage = output_of(run("bash", ROOT / "builders/s2i/bin/usage", env={"ROLE": role}))
    assert output_of(run("docker", "run", "--rm", image)) == usage
    assert usage.count(f"s2i build -c CONTEXT THIS_IMAGE NAME-{role}\n") == 1


def test_builder_image_writes_bytecode_although_its_base_image_turns_it_off(
    docker_clone: Path, tmp_path: Path
) -> None:
    prefix = f"{docker_clone.parent.name}-bytecode"
    base = inspect("s2i-model-python")["Config"]["Labels"]["base-image"]
    text = f"FROM {base}\nENV PYTHONDONTWRITEBYTECODE=1\n"
    (tmp_path / "Dockerfile").write_text(text)
    output_of(run("docker", "build", "--tag", f"{prefix}-base", tmp_path))
    arguments = ("--target", "model", "--build-arg", f"BASE_IMAGE={prefix}-base")
    output_of(run("docker", "build", *arguments, "--tag", f"{prefix}-model", ROOT / "builders"))

    turned_off = ("python3", "-c", "import sys; print(sys.dont_write_bytecode)")
    for name, expected in (("base", "True\n"), ("model", "False\n")):
        assert output_of(run("docker", "run", "--rm", f"{prefix}-{name}", *turned_off)) == expected


def test_a_base_image_that_is_not_available_names_both_ways_out(docker_clone: Path) -> None:
    failed = make_docker(docker_clone, ".", "builders", BASE_IMAGE="none/such:1")
    assert failed.returncode == 2
    assert (
        "builders.sh: Cannot pull base image none/such:1. Set BASE_IMAGE to another image, "
        "or use ENGINE=local.\n"
    ) in failed.stderr


@pytest.fixture
def rootless_builders(docker_clone: Path) -> Iterator[None]:
    """Builder images for clusters that reject root builds; restore the default ones."""
    output_of(make_docker(docker_clone, ".", "builders", ASSEMBLE_USER=1001))
    rootless = [inspect(f"s2i-{target}-python")["Id"] for target in ("model", "daemon")]
    yield
    output_of(make_docker(docker_clone, ".", "builders", ASSEMBLE_USER=0))
    run("docker", "rmi", *rootless)


@pytest.mark.usefixtures("rootless_builders")
def test_without_root_a_model_builds_and_a_setup_that_needs_root_fails(
    victim: tuple[Path, str],
) -> None:
    directory, image = victim
    labels = inspect("s2i-daemon-python")["Config"]["Labels"]
    assert labels["io.openshift.s2i.assemble-user"] == "1001"
    output_of(make_docker(directory.parent, directory.name, "build-predict"))
    before = inspect(image)["Id"]

    (directory / "setup.sh").write_text("set -e\necho x >/etc/needs-root\n")
    failed = make_docker(directory.parent, directory.name, "build-predict")
    assert failed.returncode == 2
    assert (
        f"assemble: {directory.name}/setup.sh failed as user 1001, see its output above. "
        "If it needs root, use a builder made with ASSEMBLE_USER=0.\n"
    ) in failed.stderr
    assert inspect(image)["Id"] == before
