"""Code that all benchmarks share: models, rounds, ratios, tables and plots.

Machines are noisy. Therefore only ratios of measurements of the same round are compared, and never
figures of two runs.
"""

import csv
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
TABLE = "data/adult_income-prepped.csv"
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

    Variables that select slow kernels for numpy (OPENBLAS_...) are removed, because they slow down
    only some candidates. PYTHONPATH is removed, because the programs of another checkout must not
    import this checkout's modules.
    """
    environment = {}
    for name, value in os.environ.items():
        if not name.startswith("OPENBLAS_") and name != "PYTHONPATH":
            environment[name] = value
    return environment


class Ratio(NamedTuple):
    """The median of a ratio over the rounds, and its smallest and largest value."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f}-{self.most:.2f})"


def spread(values: Sequence[float]) -> Ratio:
    """Return the median and the range of the values of all rounds."""
    return Ratio(statistics.median(values), min(values), max(values))


def ratio(values: Sequence[float], base: Sequence[float]) -> Ratio:
    """Return values / base by round; a ratio is infinite if its base is 0."""
    ratios = []
    for value, other in zip(values, base, strict=True):
        ratios.append(value / other if other else math.inf)
    return spread(ratios)


def milliseconds(call: Callable[[], Any], seconds: float = 0.1) -> float:
    """Return the mean time of a call in ms; the calls are repeated for `seconds`."""
    calls = 0
    spent = 0.0
    started = time.perf_counter()
    while spent < seconds:
        call()
        calls += 1
        spent = time.perf_counter() - started
    return spent / calls * 1000


def alternate(candidates: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Call each candidate once per round and return its values by round.

    In each round, another candidate is the first one.
    """
    values: dict[str, list[T]] = {name: [] for name in candidates}
    names = list(candidates)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            values[name].append(candidates[name]())
    return values


def machine() -> str:
    """Return one line with the date and the machine."""
    today = datetime.date.today().isoformat()
    cores = f"{os.cpu_count()} cores ({_processor()})"
    memory = f"{_memory_gib()} GiB"
    python = f"Python {platform.python_version()}"
    return f"{today}, {cores}, {memory}, {platform.system()}, {python}"


def _processor() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name") and "unknown" not in line:
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> int:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal"):
            return int(line.split()[1]) // 2**20
    return 0


def _lines(path: str) -> list[str]:
    """Return the lines of a file, or none if it can't be read."""
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def table(rows: Sequence[Mapping[str, Any]], markdown: bool = False) -> str:
    """Return rows with equal keys as a table."""
    names = list(rows[0])
    cells = [names]
    for row in rows:
        cells.append([str(row[name]) for name in names])
    widths = [max(map(len, column)) for column in zip(*cells)]

    edge = "| " if markdown else "  "
    separator = " | " if markdown else "  "
    lines = []
    for texts in cells:
        padded = [text.ljust(width) for text, width in zip(texts, widths)]
        lines.append(edge + separator.join(padded))

    if markdown:
        lines = [f"{line} |" for line in lines]
        lines.insert(1, "|" + "|".join("---" for _ in names) + "|")
    return "\n".join(lines)


def report(name: str, title: str, rows: Sequence[Mapping[str, Any]], measured: Any) -> None:
    """Print a table and write it to RESULTS.

    The Markdown file has the table. The JSON file also has all measured values.
    """
    RESULTS.mkdir(parents=True, exist_ok=True)
    print(f"\n{title}\n{machine()}\n{table(rows)}", flush=True)

    markdown = f"## {title}\n\n{machine()}\n\n{table(rows, markdown=True)}\n"
    (RESULTS / f"{name}.md").write_text(markdown)

    content = {"title": title, "machine": machine(), "rows": list(rows), "measured": measured}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1, default=str))


def plot(name: str, title: str, ratios: Mapping[str, Ratio]) -> None:
    """Write a plot to RESULTS: the ratios as bars on a logarithmic axis."""
    # This import is not at the top, because bench/size.py runs on a Python that may have no
    # matplotlib.
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 0.4 * len(ratios) + 1.2), layout="constrained")
    medians = [value.median for value in ratios.values()]
    below = [value.median - value.least for value in ratios.values()]
    above = [value.most - value.median for value in ratios.values()]
    axes.barh(list(ratios), medians, xerr=[below, above], color="#4c78a8")
    axes.set(xscale="log", title=title)
    axes.invert_yaxis()
    for position, value in enumerate(medians):
        axes.text(value, position, f" {value:.3g}", va="center")

    figure.savefig(RESULTS / f"{name}.png", dpi=120)
    pyplot.close(figure)


def verdict(value: float, goal: float, at_most: bool) -> str:
    """Return yes if a goal is reached, or else no."""
    reached = value <= goal if at_most else value >= goal
    return "yes" if reached else "no"


def rows_of_data(count: int) -> list[Any]:
    """Return the first `count` rows of the data in the form that clients send.

    A row is a list of numbers and texts in column order, without the label.
    """
    with open(ROOT / TABLE, newline="") as file:
        lines = list(csv.reader(file))[1 : count + 1]
    return [[_number_or_text(text) for text in line[:-1]] for line in lines]


def _number_or_text(text: str) -> int | str:
    """Return a cell of the table in the form that clients send."""
    return int(text) if text.lstrip("-").isdigit() else text


def median_of(values: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(values)
