"""docker.sh, docker-build.sh and builders.sh, with stubs of docker and s2i."""

import sys
from pathlib import Path

import pytest
from support.commands import ROOT, Completed, output_of, run, without_programs
from support.network import free_port

IMAGE = "house-predict"
PORT = str(free_port())
# docker.sh always passes these on.
ALWAYS = {"MODElNAME=", f"PUBLIC_URL=http://127.0.0.1:{PORT}"}
# The stub finds every image except unfinished ones, but no container, and no label except that of
# an s2i builder.
DOCKER = """echo "$*" >>"$COMMANDS"
case $1 in
  run | build) printf '%s\\n' "$@" >"$ARGUMENTS" ;;
esac
case "$*" in
  "image inspect "*:unfinished*) exit 1 ;;
  *scripts-url*" foreign-builder") echo image:///scripts ;;
esac"""
S2I = 'exit "$S2I_EXIT_CODE"'


class Docker:
    """A PATH with stubs of docker and s2i that record their arguments."""

    def __init__(self, folder: Path):
        self.path = without_programs(folder / "bin", {"docker": DOCKER, "s2i": S2I})
        self.last_arguments = folder / "arguments"
        self.commands = folder / "commands"

    def run(self, *command: object, **variables: str) -> Completed:
        """Run a script that calls docker."""
        stubs = {
            "PATH": self.path,
            "ARGUMENTS": str(self.last_arguments),
            "COMMANDS": str(self.commands),
        }
        return run(*command, env={**stubs, **variables})

    def arguments(self) -> list[str]:
        """Return the arguments of `docker run` or of the last `docker build`."""
        return self.last_arguments.read_text().splitlines()


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker(tmp_path)


def setting_names(kind: str) -> list[str]:
    """Return names of the server's settings, as runtime.settings prints them."""
    environment = {"PYTHONPATH": str(ROOT / "builders")}
    return output_of(run(sys.executable, "-m", "runtime.settings", kind, env=environment)).split()


def predict(docker: Docker, **variables: str) -> list[str]:
    """Return the arguments of `docker run` for a predict image."""
    output_of(docker.run(ROOT / "engines/docker.sh", "predict", IMAGE, PORT=PORT, **variables))
    return docker.arguments()


def passed_on(arguments: list[str]) -> set[str]:
    """Return the variables that `docker run` gets with --env, as NAME or NAME=VALUE."""
    pairs = zip(arguments, arguments[1:], strict=False)
    return {value for option, value in pairs if option == "--env"}


def test_every_setting_that_is_set_reaches_the_container(docker: Docker) -> None:
    names = setting_names("names")
    assert {"MAX_ROWS", "WORKERS", "UNKNOWN"} <= set(names)
    assert set(names) <= passed_on(predict(docker, **dict.fromkeys(names, "1")))


def test_a_setting_that_is_not_set_does_not_reach_the_container(docker: Docker) -> None:
    empty = dict.fromkeys(setting_names("names"), "")
    assert passed_on(predict(docker, **empty)) == ALWAYS


def test_what_is_no_setting_of_the_container_does_not_reach_it(docker: Docker) -> None:
    passed = passed_on(predict(docker, HOST="127.0.0.1", HTTPS_PROXY="http://proxy", ANYTHING="1"))
    assert passed == ALWAYS


def test_a_setting_for_a_file_is_mounted_read_only(docker: Docker, tmp_path: Path) -> None:
    names = setting_names("files")
    assert "API_KEY_FILE" in names
    keys = tmp_path / 'my "keys"'
    keys.touch()
    arguments = predict(docker, **dict.fromkeys(names, str(keys)))

    quoted = str(keys).replace('"', '""')
    for name in names:
        assert f"{name}=/run/{name}" in passed_on(arguments)
        assert f'"type=bind","source={quoted}","target=/run/{name}",readonly' in arguments


def test_the_payload_and_the_time_of_the_source_reach_the_container(docker: Docker) -> None:
    passed = passed_on(predict(docker, PAYLOAD="{}", SOURCE_DATE_EPOCH="0"))
    assert passed == {"PAYLOAD", "SOURCE_DATE_EPOCH", *ALWAYS}


def test_a_wait_that_is_not_valid_is_reported_before_the_container_starts(docker: Docker) -> None:
    variables = {"PORT": PORT, "WAIT": "soon", "DETACH": "1"}
    done = docker.run(ROOT / "engines/docker.sh", "predict", IMAGE, **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "WAIT=soon: expected a number of seconds, 0 or more\n"


@pytest.mark.parametrize("address", ["", "127.0.0.1", "0.0.0.0", "127.0.0.2"])
def test_the_port_is_published_on_the_address_that_is_set(docker: Docker, address: str) -> None:
    arguments = predict(docker, ADDRESS=address)
    assert f"{address or '127.0.0.1'}:{PORT}:5000" in arguments
    # The log shows an address to which this machine can connect.
    reachable = "127.0.0.2" if address == "127.0.0.2" else "127.0.0.1"
    assert f"PUBLIC_URL=http://{reachable}:{PORT}" in arguments


# Builds


@pytest.mark.parametrize("code", [0, 1, 137])
def test_a_build_without_an_image_fails_whatever_s2i_ends_with(
    docker: Docker, tmp_path: Path, code: int
) -> None:
    built = docker.run(
        *(ROOT / "engines/docker-build.sh", IMAGE, tmp_path, "predict"),
        PREDICT_BUILDER="foreign-builder",
        BASE_IMAGE="base",
        S2I_EXIT_CODE=str(code),
    )
    problem = f"s2i failed (exit code {code}, output above)"
    assert built.returncode == 1
    assert built.stderr == f"docker-build.sh: {problem}. Image {IMAGE} was not changed.\n"

    commands = docker.commands.read_text()
    assert f"rmi {IMAGE}:unfinished" in commands
    assert "\ntag " not in commands


@pytest.mark.parametrize("arguments", [[], [IMAGE], [IMAGE, "context", "serve"]])
def test_docker_build_prints_its_usage_for_wrong_arguments(arguments: list[str]) -> None:
    done = run(ROOT / "engines/docker-build.sh", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage:   docker-build.sh IMAGE CONTEXT train|predict" in done.stderr


# Builder images


def source_label(docker: Docker, clone: Path) -> str:
    """Return the digest of the builders' sources, which is a label of their images."""
    output_of(docker.run(clone / "engines/builders.sh", BASE_IMAGE="base"))
    labels = [word for word in docker.arguments() if word.startswith("source=")]
    assert len(labels) == 1
    return labels[0]


def test_the_builders_digest_changes_with_each_of_their_files(docker: Docker, clone: Path) -> None:
    before = source_label(docker, clone)
    assert source_label(docker, clone) == before
    files = [file for file in (clone / "builders").rglob("*") if file.is_file()]
    assert clone / "builders/commands.py" in files

    unnoticed = []
    for file in files:
        content = file.read_bytes()
        file.write_bytes(content + b"\n")
        if source_label(docker, clone) == before:
            unnoticed.append(file)
        file.write_bytes(content)
    assert unnoticed == []


def test_the_builders_digest_changes_with_a_new_file_or_another_name(
    docker: Docker, clone: Path
) -> None:
    digests = {source_label(docker, clone)}
    new = clone / "builders/runtime/new.py"
    new.touch()
    digests.add(source_label(docker, clone))
    new.rename(new.with_name("renamed.py"))
    digests.add(source_label(docker, clone))
    assert len(digests) == 3


def test_the_builders_digest_leaves_bytecode_out(docker: Docker, clone: Path) -> None:
    before = source_label(docker, clone)
    folder = clone / "builders/runtime/__pycache__"
    folder.mkdir(exist_ok=True)
    (folder / "app.pyc").touch()
    assert source_label(docker, clone) == before
