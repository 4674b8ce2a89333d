"""Measure the training of each model (bench-train).

It is compared with a bare fit and with the method of the document, and repeated on larger tables.
Every training is a separate process (bench/train_once.py). SCALE=100 adds a table with a hundred
times as many rows.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import (
    ROOT,
    TABLE,
    alternate,
    clean_environment,
    median_of,
    models,
    plot,
    ratio,
    report,
    verdict,
)

ROUNDS = int(os.environ.get("ROUNDS", "5"))
SCALE = int(os.environ.get("SCALE") or "10")
SCALES = (1, 10, 100)
KINDS = ("ours", "least", "document")
GOAL = 1.15
Times = Mapping[str, float]


def make_table(folder: Path, times: int) -> Path:
    """Make a folder with models/ and data/table.csv, and return it.

    The table has `times` as many rows as the data. The numbers of the additional rows have noise.
    """
    for name in ("data", "models"):
        (folder / name).mkdir(parents=True)

    description = (ROOT / TABLE).with_suffix(".toml")
    shutil.copy(description, folder / "data/table.toml")
    table = pd.read_csv(ROOT / TABLE, keep_default_na=False)
    noise = np.random.default_rng(0)
    for number in range(times):
        if number:
            table["fnlwgt"] += noise.integers(1, 100, len(table))
            table["age"] += noise.integers(-1, 2, len(table))
        table.to_csv(folder / "data/table.csv", mode="a", header=not number, index=False)
    return folder


def once(kind: str, directory: str, folder: Path) -> Times:
    """Return the figures of one training.

    Raises RuntimeError with the end of its stderr if it fails.
    """
    path = f"{ROOT}:{ROOT / 'builders'}"
    environment = {**clean_environment(), "PYTHONPATH": path}
    command = [sys.executable, "-W", "ignore", str(ROOT / "bench/train_once.py"), kind, directory]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        output = done.stderr.strip()[-300:]
        raise RuntimeError(f"{directory}, {kind}: exit code {done.returncode}: {output}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def line(directory: str, runs: Mapping[str, Sequence[Times]]) -> dict[str, Any]:
    """Return one line of the table."""
    seconds = {kind: [run["train"] for run in runs[kind]] for kind in KINDS}
    of_least = ratio(seconds["ours"], seconds["least"])
    of_document = ratio(seconds["document"], seconds["ours"])
    medians = {name: median_of(run[name] for run in runs["ours"]) for name in runs["ours"][0]}
    return {
        "model": directory,
        "ours, s": f"{medians['train']:.2f}",
        "export, s": f"{medians['to_onnx']:.2f}",
        "comparison, s": f"{medians['compare']:.2f}",
        "start, s": f"{medians['start']:.2f}",
        "cores": f"{medians['cores']:.1f}",
        "of read + fit": str(of_least),
        f"at most {GOAL}": verdict(of_least.median, GOAL, True),
        "times the document's speed": str(of_document),
        "at least 1": verdict(of_document.median, 1, False),
    }


def compare(folder: Path) -> None:
    """Train every model by turns with each of the three methods, and report."""
    lines = []
    measured = {}
    ratios = {}
    for directory in models().values():
        candidates = {kind: partial(once, kind, directory, folder) for kind in KINDS}
        runs = alternate(candidates, ROUNDS)
        lines.append(line(directory, runs))
        measured[directory] = runs
        own_seconds = [run["train"] for run in runs["ours"]]
        least_seconds = [run["train"] for run in runs["least"]]
        ratios[directory] = ratio(own_seconds, least_seconds)

    report("train", f"Training, {ROUNDS} rounds", lines, measured)
    plot("train", "Our training, times the CSV's read and the estimator's fit", ratios)


def growth_line(
    directory: str, scale: int, own: Times, least: Times, smallest: Times
) -> dict[str, Any]:
    """Return one line of the table.

    `smallest` are the figures of the smallest table.
    """
    return {
        "model": directory,
        "times the rows": scale,
        "s": f"{own['train']:.1f}",
        "of linear growth": f"{own['train'] / smallest['train'] / scale:.2f}",
        "of read + fit": f"{own['train'] / least['train']:.2f}",
        "peak, MB": f"{own['peak MB']:.0f}",
        "peak of read + fit, MB": f"{least['peak MB']:.0f}",
    }


def grow(scratch: Path, scales: Sequence[int]) -> int:
    """Train each model on larger and larger tables until a training fails.

    Returns the number of failures.
    """
    lines = []
    measured: dict[str, dict[str, Times]] = {}
    failures = 0
    for directory in models().values():
        runs: dict[str, Times] = {}
        for scale in scales:
            folder = scratch / str(scale)
            try:
                own = once("ours", directory, folder)
                least = once("least", directory, folder)
            except RuntimeError as error:
                print(f"train: {scale} times the rows: {error}", file=sys.stderr)
                failures += 1
                break
            runs[str(scale)] = own
            lines.append(growth_line(directory, scale, own, least, runs["1"]))
        measured[directory] = runs

    report("train-growth", "Training on more rows, once each", lines, measured)
    return failures


def main() -> int:
    """Measure every model and return the exit code.

    The exit code is 1 if a training on a larger table failed.
    """
    scales = [scale for scale in SCALES if scale <= SCALE]
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for scale in scales:
            make_table(scratch / str(scale), scale)
        compare(scratch / "1")
        return min(1, grow(scratch, scales))


if __name__ == "__main__":
    sys.exit(main())
