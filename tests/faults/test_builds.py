"""Builds that fail with Docker: the cause is named, the image's name stays where it was, and nothing is left over."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import ROOT, Completed, run
from support.figures import Figure, times
from support.images import inspect, tags
from test_build_sh import other_hash, path_with
from test_docker_engine import by_hand

pytestmark = pytest.mark.docker
ROUTE = "ROUTES=adult_income_lr/predict:finance_income_prediction.{}\n"
NO_BUILDER = (
    "builders.sh: builder image no-such can't be had; check TRAIN_BUILDER and PREDICT_BUILDER\n"
)
BAD_TAG = (
    "build.sh: image name 'Bad Tag': expected lower-case letters and digits, with single . _ - between them; "
    "set CONTAINER_NAME\n"
)
NO_MODULE = "importing finance_income_prediction.nothing failed: ModuleNotFoundError("
Victim = tuple[Path, str]


class Fault(NamedTuple):
    """A build's fault: files of the model directory, variables, arguments of build.sh; what it says and ends with."""

    said: str
    code: int = 1
    files: Mapping[str, str] = {}
    variables: Mapping[str, str] = {}
    role: str = "predict"
    image: str = ""


FAULTS = {
    "no docker": Fault("there is no docker on the PATH", 69, variables={"PATH": "s2i"}),
    "no s2i": Fault("there is no s2i on the PATH", 69, variables={"PATH": "docker"}),
    "no engine": Fault(
        "no Docker engine answers", 69, variables={"DOCKER_HOST": "tcp://127.0.0.1:9"}
    ),
    "no builder": Fault(NO_BUILDER, 69, variables={"PREDICT_BUILDER": "no-such"}),
    "a bad tag": Fault(BAD_TAG, 2, image="Bad Tag"),
    "no such role": Fault("expected train or predict, found 'serve'", 2, role="serve"),
    "a role not served": Fault(
        "TRAIN_FUNCTION are not set", 78, {".s2i/environment": ROUTE}, role="train"
    ),
    "a route that is none": Fault("ROUTES", 78, {".s2i/environment": "ROUTES=nothing\n"}),
    "scripts of its own": Fault(
        "would take the place of the builder's", 78, {".s2i/bin/run": "#!/bin/sh\n"}
    ),
    "setup.sh fails": Fault("assemble: setup.sh failed as user 0", files={"setup.sh": "exit 1\n"}),
    "no such version": Fault("numpy==0.0.1", files={"requirements_predict.txt": "numpy==0.0.1\n"}),
    "a clash with the server": Fault(
        "flask==0.1", files={"requirements_predict.txt": "flask==0.1\n"}
    ),
    "no such package": Fault(
        "no-such-package-here", files={"requirements_predict.txt": "no-such-package-here==1\n"}
    ),
    "no such module": Fault(NO_MODULE, files={".s2i/environment": ROUTE.format("nothing:predict")}),
    "no such function": Fault(
        "has no function oracle", files={".s2i/environment": ROUTE.format("predict:oracle")}
    ),
    "no Python": Fault("SyntaxError", files={"predict.py": "def predict(:\n"}),
    "a hash that differs": Fault(
        "sha256:00000000", files={"../constraints.txt": "with another hash for flask"}
    ),
}


@contextmanager
def broken(directory: Path, fault: Fault) -> Iterator[None]:
    """Writes a fault's files, and puts back what was there."""
    old = {
        directory / name: (directory / name).read_bytes()
        for name in fault.files
        if (directory / name).exists()
    }
    for name, text in fault.files.items():
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(other_hash(path.read_text()) if path.name == "constraints.txt" else text)
    yield
    for name in fault.files:
        (directory / name).unlink()
    for path, content in old.items():
        path.write_bytes(content)
    shutil.rmtree(directory / ".s2i/bin", ignore_errors=True)


def left(image: str, scratch: Path) -> tuple[object, ...]:
    """What a failed build must leave as it was: the image, containers, unfinished images, temporary files."""
    return (
        inspect(image)["Id"],
        run("docker", "ps", "-aq").stdout,
        ":unfinished" in tags(),
        os.listdir(scratch),
    )


def build(victim: Victim, fault: Fault, scratch: Path) -> Completed:
    """Runs build.sh with a fault."""
    directory, image = victim
    variables = {"ENGINE": "docker", "TMPDIR": str(scratch), **fault.variables}
    tools = directory.parent / "tools/bin"  # which build.sh adds to the PATH
    if "PATH" in variables:
        variables["PATH"] = path_with(
            scratch.parent / f"only {variables['PATH']}", {variables["PATH"]: ""}
        )
        tools.rename(tools.with_name("aside"))
    with broken(directory, fault):
        script = directory.parent / "build.sh"
        done = run(script, fault.image or image, directory.name, fault.role, env=variables)
    if "PATH" in variables:
        tools.with_name("aside").rename(tools)
    return done


def test_a_build_that_fails_names_the_cause_and_leaves_the_old_image(
    victim: Victim, tmp_path: Path, figure: Figure
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    before = left(victim[1], scratch)
    problems = {}
    for name, fault in FAULTS.items():
        done = build(victim, fault, scratch)
        if (done.returncode, fault.said in done.stderr, left(victim[1], scratch)) != (
            fault.code,
            True,
            before,
        ):
            problems[name] = done.returncode, done.stderr[-500:], left(victim[1], scratch)
    control = by_hand(ROOT / "bench/apps/constant", "Bad Tag").returncode
    figure(
        f"{len(FAULTS)} builds that fail, with Docker",
        f"{len(FAULTS) - len(problems)} non-zero and named, the tag unmoved, nothing left over",
        f"s2i itself and a bad tag: exit code {control}",
    )
    assert (problems, control) == ({}, 0)


def test_s2i_killed_halfway_leaves_nothing(victim: Victim, tmp_path: Path, figure: Figure) -> None:
    (victim[0] / "setup.sh").write_text("sleep 60\n")
    before = left(victim[1], tmp_path)
    codes, leftovers = set(), 0
    for _ in range(times(10, 2)):
        building, s2i = halfway(victim, tmp_path)
        os.kill(s2i, signal.SIGKILL)
        _, errors = building.communicate(timeout=30)
        assert (
            f"s2i ended with exit code 137; its messages stand above, and {victim[1]} is as it was\n"
            in errors
        )
        codes.add(building.returncode)
        leftovers += left(victim[1], tmp_path) != before
    building, s2i = halfway(victim, tmp_path)
    building.kill()  # which ends no other process and cleans nothing up: the control
    os.kill(s2i, signal.SIGKILL)
    building.communicate(timeout=30)
    containers = set(run("docker", "ps", "-aq").stdout.split()) - set(str(before[1]).split())
    run("docker", "rm", "-f", *containers)
    figure(
        f"s2i killed halfway, {times(10, 2)} times",
        f"exit codes {codes}, {leftovers} times something left over",
        f"build.sh killed with it: {len(containers)} container stays",
    )
    assert (codes, leftovers, len(containers)) == ({1}, 0, 1)


def halfway(victim: Victim, scratch: Path) -> tuple[subprocess.Popen[str], int]:
    """A build that is at work in its container, and the process id of its s2i."""
    directory, image = victim
    env = {**os.environ, "ENGINE": "docker", "TMPDIR": str(scratch)}
    command = [directory.parent / "build.sh", image, directory.name, "predict"]
    building = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert building.stdout and building.stderr
    for line in building.stderr:  # s2i tells there what its container says
        if "Running setup.sh" in line:
            break
    time.sleep(0.2)
    return building, int(run("pgrep", "-P", str(building.pid), "s2i").stdout)


def test_a_full_disk_is_named(victim: Victim, tmp_path: Path) -> None:
    mounted = run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted: {mounted.stderr.strip()}")
    try:
        before = left(victim[1], tmp_path)
        done = build(victim, Fault(""), tmp_path)
        assert (done.returncode, "No space left on device" in done.stderr) == (1, True)
        assert left(victim[1], tmp_path) == before
    finally:
        assert run("umount", tmp_path).returncode == 0
