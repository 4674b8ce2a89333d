"""Compare our server with other servers, the peers (bench-peers).

All servers serve the same model. Each peer is measured with two predict functions: the one that its
documentation recommends, and ours. Each peer gets the request of its own documentation
(bench/peers/NAME/request.py). It must answer a hundred rows correctly before it is measured. PEERS
selects peers, and MODEL selects another model.
"""

import importlib
import itertools
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from candidates import Candidate, build_image, local_image, measure_loads, running
from load import Load, post
from measure import ROOT, Ratio, median_of, models, plot, ratio, report, verdict

from bench.peers.check import expected
from bench.peers.table import rows

# A case is a number of rows and a number of connections. The cases in JUDGED have goals.
CASES = [(1, 1), (1, 16), (1, 64), (1, 256), (100, 4), (1000, 1)]
JUDGED = [(1, 16), (100, 4), (1000, 1)]
MODES = ("users", "ours")
# The control is our own server with our own function. Its ratio must be 1.
CONTROL = ("pipeline", "ours")
# The goals are ratios of our throughput to the peer's, by mode and rows, on 16, 4 and 1
# connections.
GOALS = {("users", 1): 60.0, ("users", 100): 15.0, ("users", 1000): 1.0, ("ours", 1): 3.0}
DOCUMENT_GOALS = {("users", 1): 150.0, ("users", 100): 40.0, ("users", 1000): 1.0}
MODEL = os.environ.get("MODEL") or "adult_income_xgb"


def names() -> list[str]:
    """Return the peers to compare with."""
    chosen = os.environ.get("PEERS", "").split()
    every = [path.parent.name for path in (ROOT / "bench" / "peers").glob("*/request.py")]
    return chosen or sorted(every)


def install(name: str) -> None:
    """Create the peer's environment."""
    local_folder = ROOT / ".local"
    folders = {
        "CACHE": str(local_folder / "cache"),
        "ENVIRONMENTS": str(local_folder / "environments"),
    }
    requirements = ROOT / "bench" / "peers" / name / "requirements.txt"
    command = ["builders/install.sh", str(local_folder / f"peer-{name}"), str(requirements)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **folders}, check=True)


def peer(name: str, mode: str) -> Candidate:
    """Return a peer's server."""
    module = importlib.import_module(f"bench.peers.{name}.request")
    command = [f"bench/peers/{name}/start.sh", "{port}", mode, MODEL, "{workers}"]
    return Candidate(module.body, command, {})


def check(name: str, mode: str, candidate: Candidate, wanted: list[Any]) -> None:
    """Raise ValueError if the peer answers a hundred rows wrongly.

    `wanted` are the answers that were computed without a server.
    """
    module = importlib.import_module(f"bench.peers.{name}.request")
    assert candidate.server is not None
    path, headers, body = candidate.request(rows(100))
    found = module.answers(*post(candidate.server.url + path, headers, body))
    if found != wanted:
        raise ValueError(f"{name}, {mode}: expected {wanted}, found {found}")


def goal_of(name: str, mode: str, case: tuple[int, int]) -> float | None:
    """Return the goal for our throughput as a multiple of the peer's.

    It is None for a case without a goal.
    """
    if case not in JUDGED or (name, mode) == CONTROL:
        return None
    goals = DOCUMENT_GOALS if name == "document" else GOALS
    return goals.get((mode, case[0]))


def throughput_ratio(own: Sequence[Load], theirs: Sequence[Load]) -> Ratio:
    """Return our throughput as a multiple of the peer's."""
    return ratio([one.throughput for one in own], [one.throughput for one in theirs])


def line(
    name: str, mode: str, case: tuple[int, int], own: Sequence[Load], theirs: Sequence[Load]
) -> dict[str, Any]:
    """Return one line of the table."""
    times = throughput_ratio(own, theirs)
    errors = sum(one.errors for one in (*own, *theirs))
    # The ratio is infinite if the peer gave no answer in time.
    void = errors > 0 or times.most == math.inf
    goal = goal_of(name, mode, case)
    judgement = ""
    if goal and not void:
        judgement = f"at least {goal:g}: {verdict(times.median, goal, False)}"
    row_count, connections = case
    return {
        "peer": name,
        "predict": "recommended" if mode == "users" else "ours",
        "rows": row_count,
        "connections": connections,
        "ours, times its throughput": "void" if void else str(times),
        "its p50 ms": f"{median_of(one.p50 for one in theirs):.2f}",
        "our p50 ms": f"{median_of(one.p50 for one in own):.2f}",
        "errors": errors,
        "goal": judgement,
    }


def measure(name: str, mode: str) -> tuple[dict[tuple[int, int], Any], dict[str, float]]:
    """Measure our server and one peer.

    Returns the load results of both by case, and the seconds to the first answer of each.
    """
    wanted = expected(name, mode, MODEL)
    servers = {"ours": local_image(f"bench-{MODEL}", f"/{MODEL}/predict"), name: peer(name, mode)}
    with running(servers) as seconds:
        check(name, mode, servers[name], wanted)
        loads = {case: measure_loads(servers, *case) for case in CASES}
    return loads, seconds


def main() -> int:
    """Compare with every peer; return 1 if one could not be measured."""
    build_image(f"bench-{MODEL}", models()[MODEL])
    lines = []
    measured: dict[str, Any] = {}
    ratios = {}
    failures = 0
    for name in names():
        install(name)

    for name, mode in itertools.product(names(), MODES):
        try:
            loads_by_case, seconds = measure(name, mode)
        except (OSError, ValueError, RuntimeError, subprocess.SubprocessError) as error:
            failures += 1
            print(f"peers: {name}, {mode}: not measured: {error}", file=sys.stderr)
            continue

        for case, loads in loads_by_case.items():
            lines.append(line(name, mode, case, loads["ours"], loads[name]))
            measured[f"{name} {mode} {case}"] = loads
        measured[f"{name} {mode} start"] = seconds
        title = "recommended predict" if mode == "users" else "our predict"
        one_row = loads_by_case[1, 16]
        ratios[f"{name}, {title}"] = throughput_ratio(one_row["ours"], one_row[name])

    if lines:
        report("peers", f"Compared with peers, {MODEL}, 2 workers each", lines, measured)
        plot("peers", "Our throughput, times the peer's: one row, 16 connections", ratios)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
