"""bench-train: training each model, beside the estimator's bare fit and beside the document's way, then with more data.

Every training is a process of its own (bench/train_once.py). SCALE=100 adds a table of a hundred times as many rows.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import ROOT, alternate, median_of, plot, ratio, report, verdict

ROUNDS = int(os.environ.get("ROUNDS", "5"))
SCALE = int(os.environ.get("SCALE") or "10")
KINDS = ("ours", "least", "document")
GOAL = 1.15
Times = Mapping[str, float]


def models() -> list[str]:
    """The model directories."""
    return sorted(path.parent.name for path in ROOT.glob("*/train.py"))


def make_table(folder: Path, times: int) -> Path:
    """A folder with models/ and the data in data/table.csv, its rows `times` as many, with noise in their numbers."""
    for made in ("data", "models"):
        (folder / made).mkdir(parents=True)
    table = pd.read_csv(ROOT / "data/adult_income-prepped.csv", keep_default_na=False)
    noise = np.random.default_rng(0)
    for number in range(times):
        if number:
            table["fnlwgt"] += noise.integers(1, 100, len(table))
            table["age"] += noise.integers(-1, 2, len(table))
        table.to_csv(folder / "data/table.csv", mode="a", header=not number, index=False)
    return folder


def once(kind: str, directory: str, folder: Path) -> Times:
    """The figures of one training; raises RuntimeError with the end of what it said if it fails."""
    path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'builders'}"}
    # Slow kernels that some machines force on numpy for safety's sake must not slow one candidate only.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    command = [sys.executable, "-W", "ignore", str(ROOT / "bench/train_once.py"), kind, directory]
    done = subprocess.run(
        command, cwd=folder, env={**clean, **path}, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(
            f"{directory}, {kind}: exit code {done.returncode}: {done.stderr.strip()[-300:]}"
        )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def line(directory: str, runs: Mapping[str, Sequence[Times]]) -> dict[str, Any]:
    """One line of the table."""
    seconds = {kind: [run["train"] for run in runs[kind]] for kind in KINDS}
    more, faster = (
        ratio(seconds["ours"], seconds["least"]),
        ratio(seconds["document"], seconds["ours"]),
    )
    middle = {name: median_of(run[name] for run in runs["ours"]) for name in runs["ours"][0]}
    return {
        "model": directory,
        "ours, s": f"{middle['train']:.2f}",
        "export, s": f"{middle['to_onnx']:.2f}",
        "comparison, s": f"{middle['compare']:.2f}",
        "start, s": f"{middle['start']:.2f}",
        "cores": f"{middle['cores']:.1f}",
        "of read + fit": str(more),
        f"at most {GOAL}": verdict(more.median, GOAL, True),
        "times the document's speed": str(faster),
        "at least 1": verdict(faster.median, 1, False),
    }


def compare(folder: Path) -> None:
    """Every model in turn, side by side with the least and with the document's way."""
    lines, measured, shown = [], {}, {}
    for directory in models():
        runs: dict[str, list[Times]] = {kind: [] for kind in KINDS}

        def run(
            kind: str, directory: str = directory, runs: dict[str, list[Times]] = runs
        ) -> float:
            runs[kind].append(once(kind, directory, folder))
            return runs[kind][-1]["train"]

        seconds = alternate({kind: lambda kind=kind, run=run: run(kind) for kind in KINDS}, ROUNDS)
        lines.append(line(directory, runs))
        measured[directory] = runs
        shown[directory] = ratio(seconds["ours"], seconds["least"])
    report("train", f"Training, {ROUNDS} rounds", lines, measured)
    plot("train", "Our training, times the CSV's read and the estimator's fit", shown)


def grow(scratch: Path, scales: Sequence[int]) -> int:
    """Each model on larger and larger tables, until one doesn't end; returns how many failed."""
    lines, measured, failed = [], {}, 0
    for directory in models():
        for scale in scales:
            try:
                own, base = (
                    once(kind, directory, scratch / str(scale)) for kind in ("ours", "least")
                )
            except RuntimeError as error:
                print(f"train: {scale} times the rows: {error}", file=sys.stderr)
                failed += 1
                break
            first = measured.setdefault(directory, {"1": own})["1"]
            measured[directory][str(scale)] = own
            lines.append({
                "model": directory,
                "times the rows": scale,
                "s": f"{own['train']:.1f}",
                "of linear growth": f"{own['train'] / first['train'] / scale:.2f}",
                "of read + fit": f"{own['train'] / base['train']:.2f}",
                "peak, MB": f"{own['peak MB']:.0f}",
                "peak of read + fit, MB": f"{base['peak MB']:.0f}",
            })  # fmt: skip
    report("train-growth", "Training on more rows, once each", lines, measured)
    return failed


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        sizes = [scale for scale in (1, 10, 100) if scale <= SCALE]
        for size in sizes:
            make_table(Path(name) / str(size), size)
        compare(Path(name) / "1")
        sys.exit(min(1, grow(Path(name), sizes)))
