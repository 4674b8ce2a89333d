"""bench-build: building a predict image, beside the least that the same engine could do with the same source.

Two builds: again after a one-line edit of predict.py, and the first one, with wheels in the cache but no image and no
environment. The floor under docker is `s2i build` of the same source on the same builder, its assemble doing nothing;
under the local engine a copy of the source and an empty environment. A build that fails voids its row.
"""

import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from measure import ROOT, Ratio, alternate, median_of, report, verdict

ROUNDS = int(os.environ.get("ROUNDS", "5"))
MODEL = "logisticRegression"
IMAGE, FLOOR = f"bench-build-{os.getpid()}", f"bench-floor-{os.getpid()}"
# Seconds over the floor.
GOALS = {"again": 2.0, "first": 5.0}


def seconds(*command: str | Path, cwd: Path = ROOT, **variables: str) -> float:
    """How long a command takes; NaN, and what it said on stderr, if it fails."""
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True
    )
    spent = time.perf_counter() - started
    if done.returncode:
        print(
            f"build: {command[0]}: exit code {done.returncode}: {done.stderr.strip()[-500:]}",
            file=sys.stderr,
        )
    return math.nan if done.returncode else spent


def copy(parent: Path) -> Path:
    """A copy of the repository, whose wheels are the checkout's own and whose environments are new."""
    clone = parent / "clone"
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in listed.splitlines():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, clone / name)
    (clone / ".local/environments").mkdir(parents=True)
    for shared in filter(lambda name: (ROOT / name).exists(), (".local/cache", "tools/bin")):
        (clone / shared).symlink_to(ROOT / shared)
    return clone


def source(clone: Path) -> Path:
    """What goes into an image of MODEL, with an assemble that does nothing."""
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
    """Removes images of this benchmark, if they are there."""
    subprocess.run(["docker", "rmi", "--force", *images], capture_output=True)


def docker_floor(context: Path) -> float:
    """s2i's own time for a source."""
    remove(FLOOR)
    s2i = shutil.which("s2i") or ROOT / "tools/bin/s2i"
    return seconds(
        s2i, "build", "--copy", context, "s2i-daemon-python", FLOOR, "--pull-policy", "never"
    )


def local_floor(context: Path) -> float:
    """The time of an empty environment and a copy of a source."""
    scratch = context.parent / "floor"
    shutil.rmtree(scratch, ignore_errors=True)
    uv = next((ROOT / ".local/cache").glob("uv-*/bin/uv"))
    made = seconds(uv, "venv", "--quiet", "--python", sys.executable, scratch / "venv")
    return made + seconds("cp", "-R", context, scratch / "source")


def again(engine: str, clone: Path) -> float:
    """A build after an edit of one line."""
    with open(clone / MODEL / "predict.py", "a") as file:
        file.write("# another line\n")
    return seconds("./build.sh", IMAGE, MODEL, "predict", cwd=clone, ENGINE=engine)


def first(engine: str, clone: Path) -> float:
    """A build without an image or an environment; the wheels are there."""
    if engine == "docker":
        remove(IMAGE)
    for made in (*clone.glob(".local/images/*"), *clone.glob(".local/environments/*")):
        shutil.rmtree(made)
    return again(engine, clone)


def over(values: Sequence[float], floor: Sequence[float]) -> Ratio:
    """Seconds over the floor, round by round."""
    more = [value - least for value, least in zip(values, floor, strict=True)]
    return Ratio(statistics.median(more), min(more), max(more))


def line(engine: str, build: str, values: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """One line of the table; a failed build, or a failed floor, voids it."""
    void = any(map(math.isnan, (*values[build], *values["floor"])))
    more, goal = over(values[build], values["floor"]), GOALS[build]
    return {
        "engine": engine,
        "build": "after an edit" if build == "again" else "the first one",
        "s": "void" if void else f"{median_of(values[build]):.2f}",
        "floor, s": "void" if void else f"{median_of(values['floor']):.2f}",
        "over the floor, s": "void" if void else str(more),
        "goal": f"at most {goal:g}: {'no' if void else verdict(more.median, goal, True)}",
    }


def measure(
    engine: str, clone: Path, context: Path
) -> tuple[list[Any], Mapping[str, Sequence[float]]]:
    """The table's lines of one engine, and the seconds by build and round."""
    floor = docker_floor if engine == "docker" else local_floor
    first(engine, clone)  # which fetches wheels and makes the builder, if need be
    candidates = {
        "floor": lambda: floor(context),
        "again": lambda: again(engine, clone),
        "first": lambda: first(engine, clone),
    }
    values = alternate(candidates, ROUNDS)
    return [line(engine, build, values) for build in GOALS], values


def main(engines: Sequence[str]) -> int:
    """Measures each engine; returns 1 if a row is void."""
    lines, measured = [], {}
    with tempfile.TemporaryDirectory() as scratch:
        clone = copy(Path(scratch))
        context = source(clone)
        for engine in engines:
            more, measured[engine] = measure(engine, clone, context)
            lines += more
    if "docker" in engines:
        remove(IMAGE, FLOOR)
    report("build", f"Building {MODEL}'s predict image", lines, measured)
    return 1 if any("void" in entry.values() for entry in lines) else 0


if __name__ == "__main__":
    problem = subprocess.check_output(
        ["bash", "-c", ". engines/choose.sh; docker_problem"], cwd=ROOT, text=True
    )
    if problem:
        print(f"build: only the local engine is measured: {problem.strip()}", file=sys.stderr)
    sys.exit(main(["local"] if problem else ["docker", "local"]))
