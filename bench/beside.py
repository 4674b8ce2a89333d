"""bench-peers: one model in our server, and in each peer as its users write it and with ours.

Each peer gets the request of its own documentation (bench/peers/NAME/request.py) and must answer a
hundred rows correctly before it is loaded. PEERS names some only, MODEL another model.
"""

import importlib
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from candidates import Candidate, build_image, local_image, measure_loads, running
from load import Load, post
from measure import ROOT, Ratio, median_of, models, plot, ratio, report, verdict

from bench.peers.check import expected
from bench.peers.table import rows

CASES = [(1, 1), (1, 16), (1, 64), (1, 256), (100, 4), (1000, 1)]
MODES = ("users", "ours")
# Times as many answers per second as the peer: by mode and rows, on 16, 4 and 1 connections.
GOALS = {("users", 1): 60.0, ("users", 100): 15.0, ("users", 1000): 1.0, ("ours", 1): 3.0}
DOCUMENT_GOALS = {("users", 1): 150.0, ("users", 100): 40.0, ("users", 1000): 1.0}
MODEL = os.environ.get("MODEL") or "adult_income_xgb"


def names() -> list[str]:
    """The peers to compare with."""
    found = sorted(path.parent.name for path in (ROOT / "bench" / "peers").glob("*/request.py"))
    return os.environ.get("PEERS", "").split() or found


def install(name: str) -> None:
    """Makes the peer's environment."""
    local_folder = ROOT / ".local"
    folders = {
        "CACHE": str(local_folder / "cache"),
        "ENVIRONMENTS": str(local_folder / "environments"),
    }
    requirements = ROOT / "bench" / "peers" / name / "requirements.txt"
    command = ["builders/install.sh", str(local_folder / f"peer-{name}"), str(requirements)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **folders}, check=True)


def peer(name: str, mode: str) -> Candidate:
    """A peer's server."""
    module = importlib.import_module(f"bench.peers.{name}.request")
    command = [f"bench/peers/{name}/start.sh", "{port}", mode, MODEL, "{workers}"]
    return Candidate(module.body, command, {})


def check(name: str, mode: str, candidate: Candidate, wanted: list[Any]) -> None:
    """Raises ValueError unless the peer answers a hundred rows as computed without a server."""
    module = importlib.import_module(f"bench.peers.{name}.request")
    assert candidate.server is not None
    path, headers, body = candidate.request(rows(100))
    found = module.answers(*post(candidate.server.url + path, headers, body))
    if found != wanted:
        raise ValueError(f"{name}, {mode}: expected {wanted}, found {found}")


def line(
    name: str, mode: str, case: tuple[int, int], own: list[Load], theirs: list[Load]
) -> tuple[Any, Ratio]:
    """One line of the table, and how many times their throughput ours is."""
    times = ratio([one.throughput for one in own], [one.throughput for one in theirs])
    goals = DOCUMENT_GOALS if name == "document" else GOALS
    judged = case in ((1, 16), (100, 4), (1000, 1)) and (name, mode) != (
        "pipeline",
        "ours",
    )  # which is ours itself
    goal = goals.get((mode, case[0])) if judged else None
    errors = sum(one.errors for one in (*own, *theirs))
    shown = (
        "void" if errors or times.most == math.inf else str(times)
    )  # no answer in time is no figure
    return {
        "peer": name,
        "predict": "its users'" if mode == "users" else "ours",
        "rows": case[0],
        "connections": case[1],
        "ours, times its throughput": shown,
        "its p50 ms": f"{median_of(one.p50 for one in theirs):.2f}",
        "our p50 ms": f"{median_of(one.p50 for one in own):.2f}",
        "errors": errors,
        "goal": f"at least {goal:g}: {verdict(times.median, goal, False)}"
        if goal and shown != "void"
        else "",
    }, times


def compare(name: str, mode: str, ratios: dict[str, Ratio]) -> tuple[list[Any], Mapping[str, Any]]:
    """Ours beside one peer in one mode: the lines of the table and the measured values."""
    wanted = expected(name, mode, MODEL)
    servers = {"ours": local_image(f"bench-{MODEL}", f"/{MODEL}/predict"), name: peer(name, mode)}
    lines, measured = [], {}
    with running(servers) as seconds:
        check(name, mode, servers[name], wanted)
        for case in CASES:
            loads = measure_loads(servers, *case)
            entry, times = line(name, mode, case, loads["ours"], loads[name])
            lines.append(entry)
            measured[f"{name} {mode} {case}"] = loads
            if case == (1, 16):
                ratios[f"{name}, {'its users predict' if mode == 'users' else 'our predict'}"] = (
                    times
                )
        measured[f"{name} {mode} start"] = seconds
    return lines, measured


def main() -> int:
    """Compares with every peer; returns 1 if one could not be measured."""
    build_image(f"bench-{MODEL}", models()[MODEL])
    lines: list[Any] = []
    measured: dict[str, Any] = {}
    ratios: dict[str, Ratio] = {}
    failed = 0
    for name in names():
        install(name)
        for mode in MODES:
            try:
                more, values = compare(name, mode, ratios)
            except (OSError, ValueError, RuntimeError, subprocess.SubprocessError) as error:
                failed += 1
                print(f"peers: {name}, {mode}: not measured: {error}", file=sys.stderr)
                continue
            lines += more
            measured.update(values)
    if lines:
        report("peers", f"Beside peers, {MODEL}, 2 workers each", lines, measured)
        plot("peers", "Our throughput, times the peer's: one row, 16 connections", ratios)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
