"""bench-serve: our servers under load, beside the floor (the same front with a constant answer) and a raw ASGI one.

All servers run at once, two workers each, and are loaded in turn, so that a noisy minute hits them all. Any error
voids a row. Then: memory with two and three workers, and the time from exec to the first answer.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from candidates import MODELS, WORKERS, Candidate, documents, loaded, local, running
from load import Load
from measure import ROOT, Ratio, median_of, plot, ratio, report, verdict

CASES = [(1, 1), (1, 16), (1, 64), (1, 256), (100, 1), (100, 16), (1000, 1), (1000, 16)]
# Throughput of the floor's that a model keeps, one row on 16 connections.
KEPT = {"adult_income_lr": 0.8, "adult_income_xgb": 0.7, "adult_income_rf": 0.6}
STALL_MS = 38  # what a delayed TCP acknowledgement costs
MEMORY_MB = {"adult_income_rf": 165, "all": 220}


def build() -> None:
    """Builds every image that is started here."""
    run = {**os.environ, "ENGINE": "local"}
    for name, directory in {**MODELS, "all": "all"}.items():
        subprocess.run(
            ["./build.sh", f"bench-{name}", directory, "predict"], cwd=ROOT, env=run, check=True
        )
    command = ["engines/local-build.sh", "bench-constant", "bench/apps/constant", "predict"]
    subprocess.run(command, cwd=ROOT, env=run, check=True)


def candidates() -> dict[str, Candidate]:
    """Everything that is loaded in turn."""
    raw = [
        ".venv/bin/python",
        "-m",
        "uvicorn",
        "raw:app",
        "--port",
        "{port}",
        "--workers",
        "{workers}",
    ]
    raw += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    return {
        "floor": local("bench-constant", "/constant/predict"),
        "raw ASGI": Candidate(
            documents("/"), raw, {}, ROOT / ".local" / "images" / "bench-constant"
        ),
        **{name: local(f"bench-{name}", f"/{name}/predict") for name in MODELS},
    }


def goal(name: str, case: tuple[int, int], kept: Ratio, slower: Ratio) -> str:
    """What a server is to reach in a case, and whether it does."""
    if case == (1, 1) and name in MODELS:
        return f"p50 at most 1.3: {verdict(slower.median, 1.3, True)}"
    if case == (1, 16) and name in MODELS:
        return f"throughput at least {KEPT[name]}: {verdict(kept.median, KEPT[name], False)}"
    if case == (1, 16) and name == "raw ASGI":
        return f"floor at least 0.7 of it: {verdict(1 / kept.median, 0.7, False)}"
    return ""


def line(
    name: str, case: tuple[int, int], own: Sequence[Load], floor: Sequence[Load]
) -> dict[str, Any]:
    """One line of the table."""
    kept = ratio([one.throughput for one in own], [one.throughput for one in floor])
    slower = ratio([one.p50 for one in own], [one.p50 for one in floor])
    errors, p50 = sum(one.errors for one in own), median_of(one.p50 for one in own)
    return {
        "server": name,
        "rows": case[0],
        "connections": case[1],
        "answers/s": "void" if errors else f"{median_of(one.throughput for one in own):.0f}",
        "of the floor": str(kept),
        "p50 ms": f"{p50:.2f}",
        "p50 of the floor": str(slower),
        "p99 ms": f"{median_of(one.p99 for one in own):.2f}",
        "errors": errors,
        "stalls": "yes" if case == (1, 1) and p50 > STALL_MS else "no",
        "goal": goal(name, case, kept, slower),
    }


def compare(servers: Mapping[str, Candidate]) -> None:
    """Loads every server in every case and reports."""
    lines, measured, shown = [], {}, {}
    for case in CASES:
        loads = loaded(servers, *case)
        for name, own in loads.items():
            lines.append(line(name, case, own, loads["floor"]))
            measured[f"{name} {case}"] = own
            if case == (1, 16):
                shown[name] = ratio(
                    [one.throughput for one in own], [one.throughput for one in loads["floor"]]
                )
    report("serve", "Serving, 2 workers", lines, measured)
    plot("serve", "Throughput of the floor's, one row, 16 connections", shown)


def alone(candidate: Candidate, workers: str) -> tuple[float, float]:
    """Seconds to the first answer, and memory in MB after some load, of one server that runs alone."""
    with running({"alone": candidate}, workers) as seconds:
        candidate.measure(1, 16)
        assert candidate.server is not None
        return seconds["alone"], candidate.server.memory_mb()


def memory_and_start() -> None:
    """Memory of two and of three workers, and the time to the first answer."""
    servers = {name: local(f"bench-{name}", f"/{name}/predict") for name in MODELS}
    servers["all"] = local("bench-all", "/adult_income_xgb/predict")
    lines, measured = [], {}
    for name, candidate in servers.items():
        runs = [alone(candidate, workers) for workers in (WORKERS, "3", WORKERS)]
        seconds, memory = min(run[0] for run in runs), runs[2][1]
        more = runs[1][1] - memory
        limit = MEMORY_MB.get(name)
        lines.append(
            {
                "server": name,
                "PSS of 2 workers, MB": f"{memory:.0f}",
                "goal": f"at most {limit}: {verdict(memory, limit, True)}" if limit else "",
                "a third worker adds, MB": f"{more:.0f} (at most 45: {verdict(more, 45, True)})",
                "first answer after, s": f"{seconds:.2f} (at most 1.0: {verdict(seconds, 1.0, True)})",
            }
        )
        measured[name] = runs
    report("start", "Memory and first answer", lines, measured)


if __name__ == "__main__":
    build()
    chosen = candidates()
    with running(chosen):
        compare(chosen)
    memory_and_start()
