"""engines/doctor.sh: the engine, and what is missing for the other one."""

import re
from pathlib import Path

import pytest
from support.commands import Completed, output_of, run, without_programs

ANSWERS = {"docker": "exit 0", "s2i": "exit 0"}


def doctor(clone: Path, programs: dict[str, str], **variables: str) -> Completed:
    """Run doctor.sh with `programs` and without docker and s2i.

    It runs in a clone, because this checkout may have s2i in tools/bin.
    """
    path = without_programs(clone.parent / "bin", programs)
    return run("engines/doctor.sh", cwd=clone, env={"PATH": path, **variables})


def rows(output: str) -> dict[str, str]:
    """Return the rows below the first line, by name."""
    found = [re.fullmatch(r"     (\w+) +(.+)", line) for line in output.splitlines()[1:]]
    assert all(found)
    return {row.group(1): row.group(2) for row in found if row}


def test_with_docker_and_s2i_it_prints_the_docker_engine(clone: Path) -> None:
    output = output_of(doctor(clone, ANSWERS))
    assert output.splitlines()[0] == "---> Engine: docker (Docker and s2i are available)"
    assert rows(output)["docker"] == "a Docker engine and s2i are available"


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
def test_what_is_missing_for_docker_is_printed_with_the_next_step(
    clone: Path, programs: dict[str, str], problem: str
) -> None:
    output = output_of(doctor(clone, programs))
    reason = problem.partition(" (")[0]
    assert output.splitlines()[0] == f"---> Engine: local ({reason})"
    assert rows(output)["docker"] == problem


def test_it_prints_the_versions_of_the_programs_that_the_local_engine_needs(
    clone: Path,
) -> None:
    found = rows(output_of(doctor(clone, {})))
    assert set(found) == {"docker", "bash", "make", "python", "index", "disk"}
    assert re.search(r"\(Python 3\.\d+", found["python"])
    assert "make" in found["make"].lower()


def test_without_a_suitable_python_it_says_so(clone: Path) -> None:
    old = '[ "$1" = -V ] && echo Python 3.9.1'
    found = rows(output_of(doctor(clone, {"old-python": old}, PYTHON="old-python")))
    assert found["python"].startswith("doctor.sh: PYTHON=old-python: expected Python 3.11")
    assert found["python"].endswith("found Python 3.9.1")


def test_an_argument_prints_its_usage() -> None:
    done = run("engines/doctor.sh", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage:   doctor.sh" in done.stderr
