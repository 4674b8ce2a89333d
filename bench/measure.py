"""What every benchmark shares: rounds that alternate between candidates, ratios with their range, tables, JSON, a plot.

Machines are noisy: only ratios of what ran side by side in one round are compared, never figures of two runs.
"""

import datetime
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(os.environ.get("RESULTS") or ROOT / "bench" / "results")
T = TypeVar("T")


def makefile_value(directory: str, name: str) -> str:
    """Return the value that a model directory's Makefile gives to `name`."""
    for line in (ROOT / directory / "Makefile").read_text().splitlines():
        variable, _, value = line.partition(" := ")
        if variable == name:
            return value
    raise LookupError(f"{directory}/Makefile: no line '{name} := ...'")


def models() -> dict[str, str]:
    """Return the directory of every model by its MODEL_NAME."""
    directories = sorted(path.parent.name for path in ROOT.glob("*/train.py"))
    return {makefile_value(directory, "MODEL_NAME"): directory for directory in directories}


def clean_environment() -> dict[str, str]:
    """Return the environment for a candidate's programs.

    Slow kernels that some machines force on numpy (OPENBLAS_...) must not slow one candidate only.
    Another checkout's programs must not import this checkout's modules.
    """
    clean = {}
    for name, value in os.environ.items():
        if not name.startswith("OPENBLAS_") and name != "PYTHONPATH":
            clean[name] = value
    return clean


class Ratio(NamedTuple):
    """The median of a ratio over the rounds, and its smallest and largest value."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f}-{self.most:.2f})"


def ratio(values: Sequence[float], base: Sequence[float]) -> Ratio:
    """values / base, round by round; infinite where base is 0."""
    ratios = [
        value / other if other else math.inf for value, other in zip(values, base, strict=True)
    ]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def milliseconds(call: Callable[[], Any]) -> float:
    """Return the mean time of a call in ms, over as many calls as fill a tenth of a second."""
    calls = 0
    seconds = 0.0
    started = time.perf_counter()
    while seconds < 0.1:
        call()
        calls += 1
        seconds = time.perf_counter() - started
    return seconds / calls * 1000


def alternate(candidates: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Call each candidate once a round and return the values of each one by round.

    The order is turned by one in each round, so that no candidate is always first.
    """
    values: dict[str, list[T]] = {name: [] for name in candidates}
    names = list(candidates)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            values[name].append(candidates[name]())
    return values


def machine() -> str:
    """One line on where this ran."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in _lines("/proc/cpuinfo")
            if line.startswith("model name") and "unknown" not in line
        ),
        platform.processor() or platform.machine(),
    )
    memory = next(
        (
            int(line.split()[1]) // 2**20
            for line in _lines("/proc/meminfo")
            if line.startswith("MemTotal")
        ),
        0,
    )
    today = datetime.date.today().isoformat()
    python = platform.python_version()
    return f"{today}, {os.cpu_count()} cores ({cpu}), {memory} GiB, {platform.system()}, Python {python}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def table(rows: Sequence[Mapping[str, Any]], markdown: bool = False) -> str:
    """Rows of equal keys as a table for people."""
    names = list(rows[0])
    cells = [names, *([str(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    edge = "| " if markdown else "  "
    lines = [
        edge + (" | " if markdown else "  ").join(c.ljust(w) for c, w in zip(line, widths))
        for line in cells
    ]
    if markdown:
        lines = [f"{line} |" for line in lines]
        lines.insert(1, "|" + "|".join("---" for _ in names) + "|")
    return "\n".join(lines)


def report(name: str, title: str, rows: Sequence[Mapping[str, Any]], measured: Any) -> None:
    """Prints a table; writes it to RESULTS as Markdown, and with all measured values as JSON."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    print(f"\n{title}\n{machine()}\n{table(rows)}", flush=True)
    (RESULTS / f"{name}.md").write_text(
        f"## {title}\n\n{machine()}\n\n{table(rows, markdown=True)}\n"
    )
    content = {"title": title, "machine": machine(), "rows": list(rows), "measured": measured}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1, default=str))


def plot(name: str, title: str, ratios: Mapping[str, Ratio]) -> None:
    """Draws ratios as bars on a logarithmic axis into RESULTS."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 0.4 * len(ratios) + 1.2), layout="constrained")
    medians = [value.median for value in ratios.values()]
    spread = [
        [r.median - r.least for r in ratios.values()],
        [r.most - r.median for r in ratios.values()],
    ]
    axes.barh(list(ratios), medians, xerr=spread, color="#4c78a8")
    axes.set(xscale="log", title=title)
    axes.invert_yaxis()
    for position, value in enumerate(medians):
        axes.text(value, position, f" {value:.3g}", va="center")
    figure.savefig(RESULTS / f"{name}.png", dpi=120)
    pyplot.close(figure)


def verdict(value: float, goal: float, at_most: bool) -> str:
    """Whether a goal is reached, in a word."""
    return "yes" if (value <= goal if at_most else value >= goal) else "no"


def rows_of_data(count: int) -> list[Any]:
    """The first `count` rows of the committed table as clients send them: numbers and texts in column order."""
    import csv

    with open(ROOT / "data" / "adult_income-prepped.csv", newline="") as file:
        lines = list(csv.reader(file))[: count + 1]
    return [
        [int(text) if text.lstrip("-").isdigit() else text for text in line[:-1]]
        for line in lines[1:]
    ]


def median_of(values: Iterable[float]) -> float:
    """The median."""
    return statistics.median(values)
