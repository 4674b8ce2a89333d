"""Compare the build of a predict image with the least work (bench-build).

There are two builds: one after a one-line edit of predict.py, and a first build, with wheels in the
cache but without an image or an environment. The floor is the least work of the same engine for the
same source. With docker, it is `s2i build` on the same builder with an assemble that does nothing.
With the local engine, it is a copy of the source and an empty environment. A failed build makes its
row void.

With docker, a second table shows how many bytes an edit adds, and how much space the predict images
of all models and the combined image take together.
"""

import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from measure import ROOT, Ratio, alternate, median_of, models, report, spread, verdict
from space import BUILDER, layers, output, space_lines

ROUNDS = int(os.environ.get("ROUNDS", "5"))
MODEL = "logisticRegression"
DIRECTORIES = (*models().values(), "all")
IMAGE = f"bench-build-{os.getpid()}"
FLOOR = f"bench-floor-{os.getpid()}"
ENVIRONMENT = ".s2i/environment"
# The goals are in seconds over the floor.
GOALS = {"again": 2.0, "first": 5.0}
TITLES = {"again": "after an edit", "first": "first build"}


def seconds(*command: str | Path, cwd: Path = ROOT, **variables: str) -> float:
    """Return the seconds that a command takes.

    If the command fails, the result is NaN, and its stderr is printed.
    """
    environment = {**os.environ, **variables}
    started = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    spent = time.perf_counter() - started

    if done.returncode:
        output = done.stderr.strip()[-500:]
        print(f"build: {command[0]}: exit code {done.returncode}: {output}", file=sys.stderr)
        return math.nan
    return spent


def copy(parent: Path) -> Path:
    """Return a copy of the repository that shares the checkout's wheels.

    The copy has no environments.
    """
    clone = parent / "clone"
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in files:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, clone / name)

    (clone / ".local/environments").mkdir(parents=True)
    for shared in (".local/cache", "tools/bin"):
        if (ROOT / shared).exists():
            (clone / shared).symlink_to(ROOT / shared)
    return clone


def source(clone: Path) -> Path:
    """Return a folder with the files of MODEL's image.

    Its assemble script does nothing.
    """
    context = clone.parent / "source"
    for name in ("utils", "common_utils", MODEL):
        shutil.copytree(clone / name, context / name)
    shutil.copy2(clone / "constraints.txt", context)

    assemble = context / ".s2i/bin/assemble"
    assemble.parent.mkdir(parents=True)
    assemble.write_text("#!/bin/sh\n")
    assemble.chmod(0o755)
    return context


def remove(*images: str) -> None:
    """Remove the images of this benchmark if they exist."""
    subprocess.run(["docker", "rmi", "--force", *images], capture_output=True)


def remove_packages(image: str) -> None:
    """Remove an image, and the package image that only this benchmark uses."""
    label = '{{index .Config.Labels "io.openshift.s2i.build.image"}}'
    built_on = output("docker", "image", "inspect", "--format", label, image)
    remove(image)
    if "s2i-packages:" in built_on:
        remove(built_on)


def docker_floor(context: Path) -> float:
    """Return the time of s2i itself for a source."""
    remove(FLOOR)
    s2i = shutil.which("s2i") or ROOT / "tools/bin/s2i"
    return seconds(s2i, "build", "--copy", context, BUILDER, FLOOR, "--pull-policy", "never")


def local_floor(context: Path) -> float:
    """Return the time of an empty environment and a copy of a source."""
    scratch = context.parent / "floor"
    shutil.rmtree(scratch, ignore_errors=True)
    uv = next((ROOT / ".local/cache").glob("uv-*/bin/uv"))
    environment = seconds(uv, "venv", "--quiet", "--python", sys.executable, scratch / "venv")
    return environment + seconds("cp", "-R", context, scratch / "source")


def again(engine: str, clone: Path) -> float:
    """Return the time of a build after an edit of one line."""
    with open(clone / MODEL / "predict.py", "a") as file:
        file.write("# another line\n")
    return seconds("./build.sh", IMAGE, MODEL, "predict", cwd=clone, ENGINE=engine)


def first(engine: str, clone: Path) -> float:
    """Return the time of a build without an image, a package image or an environment.

    The wheels are in the cache.
    """
    if engine == "docker":
        remove_packages(IMAGE)
        # No other application has this package image.
        with open(clone / MODEL / ENVIRONMENT, "a") as file:
            file.write(f"BENCH_{time.time_ns()}=1\n")
    for kind in ("images", "environments"):
        for folder in (clone / ".local").glob(f"{kind}/*"):
            shutil.rmtree(folder)
    return again(engine, clone)


def space(clone: Path) -> list[dict[str, Any]]:
    """Return the lines of the table of space; remove the images of this benchmark."""
    remove_packages(IMAGE)
    shutil.copy2(ROOT / MODEL / ENVIRONMENT, clone / MODEL / ENVIRONMENT)
    again("docker", clone)
    before = layers(IMAGE)
    again("docker", clone)
    after = layers(IMAGE)

    names = {directory: f"{IMAGE}-{number}" for number, directory in enumerate(DIRECTORIES)}
    for directory, name in names.items():
        seconds("./build.sh", name, directory, "predict", cwd=clone, ENGINE="docker")
    lines = space_lines(before, after, [layers(name) for name in names.values()])
    remove(FLOOR, IMAGE, *names.values())
    return lines


def over(values: Sequence[float], floor: Sequence[float]) -> Ratio:
    """Return the seconds over the floor, round by round."""
    return spread([value - least for value, least in zip(values, floor, strict=True)])


def line(engine: str, build: str, values: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return one line of the table.

    The line is void if the build or the floor failed.
    """
    goal = GOALS[build]
    entry = {
        "engine": engine,
        "build": TITLES[build],
        "s": "void",
        "floor, s": "void",
        "over the floor, s": "void",
        "goal": f"at most {goal:g}: no",
    }
    if any(map(math.isnan, (*values[build], *values["floor"]))):
        return entry

    over_floor = over(values[build], values["floor"])
    entry["s"] = f"{median_of(values[build]):.2f}"
    entry["floor, s"] = f"{median_of(values['floor']):.2f}"
    entry["over the floor, s"] = str(over_floor)
    entry["goal"] = f"at most {goal:g}: {verdict(over_floor.median, goal, True)}"
    return entry


def measure(
    engine: str, clone: Path, context: Path
) -> tuple[list[Any], Mapping[str, Sequence[float]]]:
    """Return the table's lines of one engine, and the seconds by build and round."""
    floor = docker_floor if engine == "docker" else local_floor

    # This build downloads the wheels and makes the builder if they are missing.
    first(engine, clone)

    candidates = {
        "floor": partial(floor, context),
        "again": partial(again, engine, clone),
        "first": partial(first, engine, clone),
    }
    values = alternate(candidates, ROUNDS)
    return [line(engine, build, values) for build in GOALS], values


def engines() -> list[str]:
    """Return the engines that are available on this machine."""
    command = ["bash", "-c", ". engines/choose.sh; docker_problem"]
    problem = subprocess.check_output(command, cwd=ROOT, text=True).strip()
    if problem:
        print(f"build: only the local engine is measured: {problem}", file=sys.stderr)
        return ["local"]
    return ["docker", "local"]


def main(engines: Sequence[str]) -> int:
    """Measure each engine; return 1 if a row is void."""
    lines = []
    measured = {}
    spaces = []
    with tempfile.TemporaryDirectory() as scratch:
        clone = copy(Path(scratch))
        context = source(clone)
        for engine in engines:
            engine_lines, measured[engine] = measure(engine, clone, context)
            lines += engine_lines
        if "docker" in engines:
            spaces = space(clone)

    report("build", f"Building {MODEL}'s predict image", lines, measured)
    if spaces:
        report("space", "Space of the predict images, without the base image", spaces, spaces)
    return 1 if any("void" in entry.values() for entry in [*lines, *spaces]) else 0


if __name__ == "__main__":
    sys.exit(main(engines()))
