"""engines/doctor.sh: findings about this machine, each with what to do."""

import json
import re
import socket
import tempfile
from pathlib import Path

import pytest
from support.commands import Completed, output_of, run, without_programs

ANSWERS = {"docker": "exit 0", "s2i": "exit 0"}
CHECKS = ["docker", "python", "make", "disk", "memory", "index", "data/", "models/", "port", "git"]


def doctor(clone: Path, programs: dict[str, str], **variables: str) -> Completed:
    """Run doctor.sh with `programs` and without docker and s2i.

    It runs in a clone, because this checkout may have s2i in tools/bin.
    """
    folder = Path(tempfile.mkdtemp(dir=clone.parent))
    path = without_programs(folder / "bin", programs)
    return run("engines/doctor.sh", cwd=clone, env={"PATH": path, **variables})


def findings(done: Completed) -> dict[str, tuple[str, str]]:
    """Return status and message of each check."""
    lines = [
        re.fullmatch(r"(OK|WARN|FAIL) +(.{11}) (.+)", line) for line in done.stdout.split("\n")
    ]
    return {line[2].strip(): (line[1], line[3]) for line in lines if line}


def test_every_check_is_printed_and_a_warning_is_no_failure(clone: Path) -> None:
    done = doctor(clone, {})
    assert (done.returncode, done.stderr) == (0, "")
    assert list(findings(done)) == CHECKS
    assert re.search(r"Python 3\.\d+", findings(done)["python"][1])


def test_with_docker_and_s2i_the_base_image_is_checked_too(clone: Path) -> None:
    found = findings(doctor(clone, ANSWERS, BASE_IMAGE="base:1"))
    assert found["docker"] == ("OK", "a Docker engine and s2i are available")
    # This docker program prints nothing, as for an image that does not exist.
    status, message = found["base image"]
    assert status == "WARN"
    assert message.startswith("base:1 is not on this machine.")
    found = findings(doctor(clone, {**ANSWERS, "docker": "echo x"}, BASE_IMAGE="base:1"))
    assert found["base image"] == ("OK", "base:1 is on this machine")


@pytest.mark.parametrize(
    ("programs", "problem"),
    [
        ({}, "docker is not on the PATH (https://docs.docker.com/engine/install/)"),
        (
            {"docker": "exit 1", "s2i": "exit 0"},
            "no Docker engine answers (start it, join its group, or set DOCKER_HOST)",
        ),
        ({"docker": "exit 0"}, "s2i is not on the PATH (if Go is installed, make tools builds it)"),
    ],
)
def test_missing_docker_fails_only_if_it_is_required(
    clone: Path, programs: dict[str, str], problem: str
) -> None:
    done = doctor(clone, programs)
    assert findings(done)["docker"] == ("WARN", f"{problem}. The local engine is used.")
    assert done.returncode == 0

    done = doctor(clone, programs, ENGINE="docker")
    message = f"{problem}. ENGINE=local needs neither Docker nor s2i."
    assert findings(done)["docker"] == ("FAIL", message)
    assert done.returncode == 1


def test_without_a_suitable_python_the_local_engine_fails(clone: Path) -> None:
    old = {"old-python": '[ "$1" = -V ] && echo Python 3.9.1'}
    done = doctor(clone, old, PYTHON="old-python")
    status, message = findings(done)["python"]
    assert (status, done.returncode) == ("FAIL", 1)
    assert message.startswith("doctor.sh: PYTHON=old-python: expected Python 3.11")
    assert message.endswith("found Python 3.9.1")

    # Images have their own Python.
    done = doctor(clone, {**old, **ANSWERS}, PYTHON="old-python")
    assert (findings(done)["python"][0], done.returncode) == ("WARN", 0)


def test_index_that_does_not_answer_is_reported_without_its_password(clone: Path) -> None:
    variables = {"PIP_INDEX_URL": "http://me:secret@127.0.0.1:9/simple", "no_proxy": "127.0.0.1"}
    environments = (clone / ".local/environments").rename(clone / ".local/other")
    done = doctor(clone, {}, **variables)
    status, message = findings(done)["index"]
    assert (status, done.returncode) == ("FAIL", 1)
    assert "Connection refused" in message
    assert "http://127.0.0.1:9/simple" in message
    assert "secret" not in done.stdout + done.stderr

    # The packages that were downloaded before need no index.
    environments.rename(clone / ".local/environments")
    assert findings(doctor(clone, {}, **variables))["index"][0] == "WARN"


def test_missing_folder_fails(clone: Path) -> None:
    (clone / "models").rename(clone / "other")
    done = doctor(clone, {})
    status, message = findings(done)["models/"]
    assert (status, done.returncode) == ("FAIL", 1)
    assert message.startswith(f"this user cannot write {clone}/models.")


def test_port_in_use_is_a_warning_and_a_text_that_is_no_port_a_failure(clone: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = doctor(clone, {}, PORT=port)
        assert findings(done)["port"][0] == "WARN"
        assert done.returncode == 0
    assert findings(doctor(clone, {}, PORT=port))["port"] == ("OK", f"{port} is free")
    done = doctor(clone, {}, PORT="70000")
    assert (findings(done)["port"][0], done.returncode) == ("FAIL", 1)


def test_folder_without_git_is_a_warning(clone: Path) -> None:
    assert findings(doctor(clone, {}))["git"][0] == "WARN"
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "Begin"]):
        output_of(run("git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments, cwd=clone))
    assert findings(doctor(clone, {}))["git"][0] == "OK"


def test_format_json_prints_the_same_findings(clone: Path) -> None:
    document = json.loads(output_of(doctor(clone, {}, FORMAT="json")))
    assert [finding["check"] for finding in document["findings"]] == CHECKS
    assert {*document["findings"][0]} == {"check", "status", "message"}


def test_an_argument_prints_its_usage() -> None:
    done = run("engines/doctor.sh", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage:   doctor.sh" in done.stderr


def test_unknown_engine_is_rejected() -> None:
    done = run("engines/doctor.sh", env={"ENGINE": "podman"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "doctor.sh: ENGINE=podman: expected docker, local or auto\n"
