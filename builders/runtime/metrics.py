"""What /metrics tells: requests by route and status, latency, batch size, the model behind each route.

Each worker counts in cells of its own in memory that all workers share, made before they are forked: counting costs
a microsecond, any worker shows the sum of all, and a worker's counts outlive it. prometheus_client writes the page.
"""

import mmap
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)
SLOTS = 64  # as many workers as there may be
# The cells of one worker: a count for status 200 and for each of 400 to 599, then two histograms: a count for each
# bucket and one for what is larger than all, and a sum.
STATUSES = 201
LATENCY = STATUSES
BATCH = LATENCY + len(SECONDS) + 2
CELLS = BATCH + len(ROWS) + 2


class Counts:
    """The counts of one route, over all workers."""

    def __init__(self) -> None:
        self._cells = memoryview(mmap.mmap(-1, SLOTS * CELLS * 8)).cast("d")
        self._lock = threading.Lock()
        self._base = 0

    def use_slot(self, slot: int) -> None:
        """Counts in the cells of worker number `slot` from now on."""
        self._base = slot * CELLS

    def add(self, status: int, seconds: float, rows: int) -> None:
        """Counts one answer; latency and batch size only of those that were predictions."""
        cells, base = self._cells, self._base
        with self._lock:
            if status != 200:
                cells[base + status - 399] += 1
                return
            cells[base] += 1
            cells[base + LATENCY + bisect_left(SECONDS, seconds)] += 1
            cells[base + BATCH - 1] += seconds
            cells[base + BATCH + bisect_left(ROWS, rows)] += 1
            cells[base + CELLS - 1] += rows

    def total(self) -> list[float]:
        """The cells, summed over all workers."""
        return [sum(self._cells[i::CELLS]) for i in range(CELLS)]


def page(endpoints: Iterable[Any]) -> bytes:
    """The metrics of all workers in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest

    class Collector:
        """What the registry asks for."""

        def collect(self) -> Iterator[Any]:
            return families(endpoints)

    registry = CollectorRegistry()
    registry.register(Collector())  # type: ignore[arg-type, unused-ignore]
    return generate_latest(registry)


def families(endpoints: Iterable[Any]) -> Iterator[Any]:
    """The metrics, as prometheus_client's own types."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    requests = CounterMetricFamily(
        "predict_requests", "Answers by route and status.", labels=["route", "status"]
    )
    latency = HistogramMetricFamily(
        "predict_latency_seconds", "Decode, predict and encode.", labels=["route"]
    )
    batch = HistogramMetricFamily("predict_batch_size", "Rows of a request.", labels=["route"])
    model = GaugeMetricFamily(
        "predict_model_info", "1 for the model behind a route.", labels=["route", "model", "digest"]
    )
    problem = GaugeMetricFamily(
        "predict_model_problem",
        "1 while a route's model file is missing or refused.",
        labels=["route"],
    )
    for endpoint in endpoints:
        problem.add_metric([endpoint.path], float(endpoint.problem is not None))
        cells = endpoint.counts.total()
        for i, count in enumerate(cells[:STATUSES]):
            if count:
                requests.add_metric([endpoint.path, str(i + 399 if i else 200)], count)
        latency.add_metric(
            [endpoint.path], buckets(SECONDS, cells[LATENCY : BATCH - 1]), cells[BATCH - 1]
        )
        batch.add_metric([endpoint.path], buckets(ROWS, cells[BATCH : CELLS - 1]), cells[CELLS - 1])
        if endpoint.info:
            model.add_metric([endpoint.path, endpoint.info["model"], endpoint.info["digest"]], 1)
    return iter((requests, latency, batch, model, problem))


def buckets(bounds: Iterable[float], counts: Iterable[float]) -> list[tuple[str, float]]:
    """A histogram's buckets as Prometheus wants them: each counts all that is not above its bound."""
    return list(zip([*map(str, bounds), "+Inf"], accumulate(counts)))
