"""Measure our servers under load, and their memory and start-up (bench-serve).

They are compared with the floor and a raw ASGI application. The floor is the same server with a
predict function that returns a constant. All servers run at the same time, with two workers each,
and get load by turns, so that a noisy minute affects all of them. An error makes a row void. After
that, the memory with two and three workers and the time from exec to the first answer are measured.
With BASELINE, the servers of another checkout (bench/baseline.py) are measured by turns with ours.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from baseline import baseline_root, serve_line
from candidates import (
    WORKERS,
    Candidate,
    build_image,
    document_request,
    local_image,
    measure_loads,
    run_local,
    running,
)
from load import Load
from measure import ROOT, Ratio, median_of, models, plot, ratio, report, verdict

MODELS = models()
CASES = [(1, 1), (1, 16), (1, 64), (1, 256), (100, 1), (100, 16), (1000, 1), (1000, 16)]
# The goals are parts of the floor's throughput, for one row on 16 connections.
KEPT = {"adult_income_lr": 0.8, "adult_income_xgb": 0.7, "adult_income_rf": 0.6}
# A delayed TCP acknowledgement takes this time.
STALL_MS = 38
MEMORY_MB = {"adult_income_rf": 165, "all": 220}
THIRD_WORKER_MB = 45
FIRST_ANSWER_SECONDS = 1.0
RAW_ASGI = (
    ".venv/bin/python -m uvicorn raw:app --port {port} --workers {workers} --loop uvloop "
    "--http httptools --no-access-log --log-level warning"
)
# The name of a server of BASELINE begins with this prefix.
BASELINE_PREFIX = "baseline "


def build() -> None:
    """Build the images of all servers."""
    for name, directory in {**MODELS, "all": "all"}.items():
        build_image(f"bench-{name}", directory)
    run_local(["engines/local-build.sh", "bench-constant", "bench/apps/constant", "predict"])


def build_baseline(root: Path) -> None:
    """Build every model's image in the checkout `root`.

    The images serve the model files of this checkout.
    """
    for name, directory in MODELS.items():
        build_image(f"bench-{name}", directory, root)
        models_link = root / ".local" / "images" / f"bench-{name}" / "models"
        models_link.unlink()
        models_link.symlink_to(ROOT / "models")


def model_candidates(root: Path = ROOT, prefix: str = "") -> dict[str, Candidate]:
    """Return every model's server in the checkout `root`.

    Their names begin with `prefix`.
    """
    return {
        f"{prefix}{name}": local_image(f"bench-{name}", f"/{name}/predict", root) for name in MODELS
    }


def candidates() -> dict[str, Candidate]:
    """Return the servers of this checkout that are compared under load."""
    constant_folder = ROOT / ".local" / "images" / "bench-constant"
    raw = Candidate(document_request("/"), RAW_ASGI.split(), {}, constant_folder)
    return {
        "floor": local_image("bench-constant", "/constant/predict"),
        "raw ASGI": raw,
        **model_candidates(),
    }


def goal(name: str, case: tuple[int, int], kept: Ratio, slower: Ratio) -> str:
    """Return a server's goal in a case, and whether it is reached."""
    if case == (1, 1) and name in MODELS:
        return f"p50 at most 1.3: {verdict(slower.median, 1.3, True)}"
    if case == (1, 16) and name in KEPT:
        return f"throughput at least {KEPT[name]}: {verdict(kept.median, KEPT[name], False)}"
    if case == (1, 16) and name == "raw ASGI":
        return f"floor at least 0.7 of it: {verdict(1 / kept.median, 0.7, False)}"
    return ""


def throughput_ratio(own: Sequence[Load], base: Sequence[Load]) -> Ratio:
    """Return the ratio of the answers per second."""
    return ratio([one.throughput for one in own], [one.throughput for one in base])


def line(
    name: str, case: tuple[int, int], own: Sequence[Load], floor: Sequence[Load]
) -> dict[str, Any]:
    """Return one line of the table."""
    kept = throughput_ratio(own, floor)
    slower = ratio([one.p50 for one in own], [one.p50 for one in floor])
    throughput = median_of(one.throughput for one in own)
    p50 = median_of(one.p50 for one in own)
    p99 = median_of(one.p99 for one in own)
    errors = sum(one.errors for one in own)
    stalls = case == (1, 1) and p50 > STALL_MS
    rows, connections = case
    return {
        "server": name,
        "rows": rows,
        "connections": connections,
        "answers/s": "void" if errors else f"{throughput:.0f}",
        "of the floor": str(kept),
        "p50 ms": f"{p50:.2f}",
        "p50 of the floor": str(slower),
        "p99 ms": f"{p99:.2f}",
        "errors": errors,
        "stalls": "yes" if stalls else "no",
        "goal": goal(name, case, kept, slower),
    }


def compare(servers: Mapping[str, Candidate]) -> None:
    """Measure every server under load in every case and report the results."""
    lines = []
    baseline_lines = []
    measured = {}
    ratios = {}
    for case in CASES:
        loads = measure_loads(servers, *case)
        for name, own in loads.items():
            measured[f"{name} {case}"] = own
            if name.startswith(BASELINE_PREFIX):
                model = name.removeprefix(BASELINE_PREFIX)
                baseline_lines.append(serve_line(model, case, loads[model], own))
                continue
            lines.append(line(name, case, own, loads["floor"]))
            if case == (1, 16):
                ratios[name] = throughput_ratio(own, loads["floor"])

    report("serve", "Serving, 2 workers", lines, measured)
    plot("serve", "Throughput of the floor's, one row, 16 connections", ratios)
    if baseline_lines:
        report("serve-baseline", "Serving, relative to the baseline", baseline_lines, measured)


def measure_alone(candidate: Candidate, workers: str) -> tuple[float, float]:
    """Measure a server that runs alone.

    Returns the seconds to the first answer, and the memory in MB after some load.
    """
    with running({"alone": candidate}, workers) as seconds:
        candidate.measure(1, 16)
        assert candidate.server is not None
        return seconds["alone"], candidate.server.memory_mb()


def start_line(name: str, runs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return one line of the table.

    `runs` are the seconds and MB with two, with three and again with two workers.
    """
    seconds = min(run[0] for run in runs)
    memory = runs[2][1]
    more = runs[1][1] - memory
    more_verdict = verdict(more, THIRD_WORKER_MB, True)
    start_verdict = verdict(seconds, FIRST_ANSWER_SECONDS, True)
    limit = MEMORY_MB.get(name)
    memory_goal = f"at most {limit}: {verdict(memory, limit, True)}" if limit else ""
    return {
        "server": name,
        "PSS of 2 workers, MB": f"{memory:.0f}",
        "goal": memory_goal,
        "a third worker adds, MB": f"{more:.0f} (at most {THIRD_WORKER_MB}: {more_verdict})",
        "first answer after, s": f"{seconds:.2f} (at most {FIRST_ANSWER_SECONDS}: {start_verdict})",
    }


def memory_and_start() -> None:
    """Report the memory with two and three workers, and the time to the first answer."""
    servers = {**model_candidates(), "all": local_image("bench-all", "/adult_income_xgb/predict")}
    lines = []
    measured = {}
    for name, candidate in servers.items():
        runs = [measure_alone(candidate, workers) for workers in (WORKERS, "3", WORKERS)]
        lines.append(start_line(name, runs))
        measured[name] = runs
    report("start", "Memory and first answer", lines, measured)


def main() -> None:
    """Build, measure and report."""
    build()
    servers = candidates()
    baseline = baseline_root()
    if baseline:
        build_baseline(baseline)
        servers.update(model_candidates(baseline, BASELINE_PREFIX))

    with running(servers):
        compare(servers)
    memory_and_start()


if __name__ == "__main__":
    main()
