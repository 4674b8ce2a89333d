"""Failed builds with Docker: the cause is reported, the tag stays, no leftovers."""

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
from support.clones import with_other_hash
from support.commands import ROOT, Completed, run, without_programs
from support.docker import WHEELS, inspect, s2i_build, start_build, tags
from support.figures import Figure, times

pytestmark = pytest.mark.docker
KILLS = times(10, 2)
ROUTE = "ROUTES=victim/predict:finance_income_prediction.{}\n"
ENVIRONMENT = ".s2i/environment"
REQUIREMENTS = "requirements_predict.txt"
NO_BUILDER = (
    "builders.sh: Cannot pull builder image no-such. Check TRAIN_BUILDER and PREDICT_BUILDER.\n"
)
BAD_TAG = (
    "build.sh: image name 'Bad Tag': expected lower-case letters and digits, "
    "with single . _ - between them. Set CONTAINER_NAME.\n"
)
NO_MODULE = "importing finance_income_prediction.nothing failed: ModuleNotFoundError("
KILLED = "s2i failed (exit code 137, output above). Image {} was not changed.\n"
Victim = tuple[Path, str]


class Fault(NamedTuple):
    """A fault of a build, the output of build.sh about it, and its exit code.

    `files` are of the model directory; a text of None gives constraints.txt another hash.
    `only` is the one program of docker and s2i that is on the PATH.
    """

    message: str
    code: int = 1
    files: Mapping[str, str | None] = {}
    variables: Mapping[str, str] = {}
    only: str = ""
    role: str = "predict"
    image: str = ""


def requires(text: str) -> dict[str, str]:
    """Return requirements of the predict image."""
    return {REQUIREMENTS: f"{text}\n"}


def routes_to(function: str) -> dict[str, str]:
    """Return an `.s2i/environment` with a route to a function."""
    return {ENVIRONMENT: ROUTE.format(function)}


NOWHERE = {"DOCKER_HOST": "tcp://127.0.0.1:9"}
FAULTS = {
    "no docker": Fault("docker is not on the PATH", 69, only="s2i"),
    "no s2i": Fault("s2i is not on the PATH", 69, only="docker"),
    "no engine": Fault("no Docker engine answers", 69, variables=NOWHERE),
    "no builder": Fault(NO_BUILDER, 69, variables={"PREDICT_BUILDER": "no-such"}),
    "a bad tag": Fault(BAD_TAG, 2, image="Bad Tag"),
    "no such role": Fault("expected train or predict, found 'serve'", 2, role="serve"),
    "a role not served": Fault(
        "TRAIN_FUNCTION are not set", 78, {ENVIRONMENT: ROUTE}, role="train"
    ),
    "a route that is none": Fault("ROUTES", 78, {ENVIRONMENT: "ROUTES=nothing\n"}),
    "scripts of its own": Fault(
        "would replace the builder's own scripts", 78, {".s2i/bin/run": "#!/bin/sh\n"}
    ),
    "setup.sh fails": Fault("/setup.sh failed as user 0", files={"setup.sh": "exit 1\n"}),
    "no such version": Fault("numpy==0.0.1", files=requires("numpy==0.0.1")),
    "a clash with the server": Fault("flask==0.1", files=requires("flask==0.1")),
    "no such package": Fault("no-such-package-here", files=requires("no-such-package-here==1")),
    "no such module": Fault(NO_MODULE, files=routes_to("nothing:predict")),
    "no such function": Fault("has no function oracle", files=routes_to("predict:oracle")),
    "no Python": Fault("SyntaxError", files={"predict.py": "def predict(:\n"}),
    "a hash that differs": Fault("sha256:00000000", files={"../constraints.txt": None}),
}


@contextmanager
def broken(directory: Path, files: Mapping[str, str | None]) -> Iterator[None]:
    """Write the files of a fault, and restore the old files at the end."""
    old = {}
    for name, text in files.items():
        path = directory / name
        if path.exists():
            old[path] = path.read_bytes()
        path.parent.mkdir(exist_ok=True)
        path.write_text(with_other_hash(path.read_text()) if text is None else text)

    yield

    for name in files:
        (directory / name).unlink()
    for path, content in old.items():
        path.write_bytes(content)
    shutil.rmtree(directory / ".s2i/bin", ignore_errors=True)


@contextmanager
def only_program(program: str, clone: Path, folder: Path) -> Iterator[dict[str, str]]:
    """Yield variables with a PATH that has only one of docker and s2i."""
    if not program:
        yield {}
        return

    # build.sh adds this folder to the PATH.
    tools = clone / "tools/bin"
    aside = tools.with_name("aside")
    tools.rename(aside)
    yield {"PATH": without_programs(folder, {program: ""})}
    aside.rename(tools)


def remains(image: str, scratch: Path) -> tuple[object, ...]:
    """Return the state that a failed build must not change.

    It consists of the image, containers, unfinished images and temporary files.
    """
    containers = run("docker", "ps", "-aq").stdout
    return inspect(image)["Id"], containers, ":unfinished" in tags(), os.listdir(scratch)


def build(victim: Victim, fault: Fault, scratch: Path) -> Completed:
    """Run build.sh with a fault."""
    directory, image = victim
    clone = directory.parent
    path_folder = scratch.parent / f"only {fault.only}"
    arguments = (fault.image or image, directory.name, fault.role)
    with (
        only_program(fault.only, clone, path_folder) as path,
        broken(directory, fault.files),
    ):
        variables = {"ENGINE": "docker", "TMPDIR": str(scratch), **path, **fault.variables}
        return run(clone / "build.sh", *arguments, env=variables)


def test_a_build_that_fails_names_the_cause_and_leaves_the_old_image(
    victim: Victim, tmp_path: Path, figure: Figure
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    before = remains(victim[1], scratch)
    problems = {}
    for name, fault in FAULTS.items():
        done = build(victim, fault, scratch)
        after = remains(victim[1], scratch)
        is_named = done.returncode == fault.code and fault.message in done.stderr
        if not is_named or after != before:
            problems[name] = (done.returncode, done.stderr[-500:], after)

    application = ROOT / "bench/apps/constant"
    control = s2i_build(application, "s2i-model-python", "Bad Tag", *WHEELS).returncode
    figure(
        f"{len(FAULTS)} builds that fail, with Docker",
        f"{len(FAULTS) - len(problems)} non-zero and named, the tag unmoved, nothing left over",
        f"s2i itself and a bad tag: exit code {control}",
    )
    assert problems == {}
    assert control == 0


class Halfway(NamedTuple):
    """A running build, and the process id of its s2i."""

    building: subprocess.Popen[str]
    s2i: int


def build_halfway(victim: Victim, scratch: Path) -> Halfway:
    """Start a build, and return when its container imports the application."""
    building = start_build(victim, scratch, "Checking the functions")
    time.sleep(0.2)
    s2i = run("pgrep", "-g", str(building.pid), "-x", "s2i").stdout
    return Halfway(building, int(s2i))


def test_s2i_killed_halfway_leaves_nothing(victim: Victim, tmp_path: Path, figure: Figure) -> None:
    (victim[0] / "predict.py").write_text("import time\n\ntime.sleep(60)\n")
    before = remains(victim[1], tmp_path)
    codes = set()
    leftovers = 0
    for _ in range(KILLS):
        building, s2i = build_halfway(victim, tmp_path)
        os.kill(s2i, signal.SIGKILL)
        _, errors = building.communicate(timeout=30)
        assert KILLED.format(victim[1]) in errors
        codes.add(building.returncode)
        leftovers += remains(victim[1], tmp_path) != before

    containers = kill_build_and_s2i(victim, tmp_path)
    figure(
        f"s2i killed halfway, {KILLS} times",
        f"exit codes {codes}, {leftovers} times something left over",
        f"build.sh killed with it: {containers} container stays",
    )
    assert (codes, leftovers) == ({1}, 0)
    assert containers == 1


def kill_build_and_s2i(victim: Victim, scratch: Path) -> int:
    """Kill a build and its s2i; return the number of containers that remain."""
    before = set(run("docker", "ps", "-aq").stdout.split())
    building, _ = build_halfway(victim, scratch)
    os.killpg(building.pid, signal.SIGKILL)
    building.communicate(timeout=30)

    containers = set(run("docker", "ps", "-aq").stdout.split()) - before
    run("docker", "rm", "-f", *containers)
    return len(containers)


def test_a_full_disk_is_named(victim: Victim, tmp_path: Path) -> None:
    mounted = run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted: {mounted.stderr.strip()}")
    try:
        before = remains(victim[1], tmp_path)
        done = build(victim, Fault(""), tmp_path)
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        assert remains(victim[1], tmp_path) == before
    finally:
        assert run("umount", tmp_path).returncode == 0
