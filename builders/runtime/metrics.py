"""The metrics of /metrics: requests, latency and batch size by route, and models.

All workers share one memory area, which is allocated before they are forked. Each worker counts
in its own cells of it. Counting takes a microsecond, any worker can add up the counts of all
workers, and the counts of a crashed worker are kept. prometheus_client writes the page.
"""

import mmap
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from runtime.settings import MAX_WORKERS

# Upper bounds of the histograms' buckets.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)
# Status 200, then each status from 400 to 599.
STATUSES = (200, *range(400, 600))

# The cells of one worker, in this order. Each histogram has one bucket more than bounds, for
# larger values.
SIZES = {
    "status": len(STATUSES),
    "latency_buckets": len(SECONDS) + 1,
    "latency_sum": 1,
    "batch_buckets": len(ROWS) + 1,
    "batch_sum": 1,
}
OFFSETS = dict(zip(SIZES, accumulate(SIZES.values(), initial=0)))
CELLS = sum(SIZES.values())
CELL_BYTES = 8

# These are constants, because a dictionary look-up per cell would double the time of counting.
LATENCY_BUCKETS = OFFSETS["latency_buckets"]
LATENCY_SUM = OFFSETS["latency_sum"]
BATCH_BUCKETS = OFFSETS["batch_buckets"]
BATCH_SUM = OFFSETS["batch_sum"]
STATUS_400 = STATUSES.index(400)


class Counts:
    """The counters of one route, summed over all workers."""

    def __init__(self) -> None:
        shared_memory = mmap.mmap(-1, MAX_WORKERS * CELLS * CELL_BYTES)
        self._cells = memoryview(shared_memory).cast("d")
        self._lock = threading.Lock()
        self._base = 0

    def use_slot(self, slot: int) -> None:
        """Select the shared counters of worker `slot`."""
        self._base = slot * CELLS

    def add(self, status: int, seconds: float, rows: int) -> None:
        """Count one response. Latency and batch size are counted for status 200 only."""
        cells = self._cells
        base = self._base
        with self._lock:
            if status != 200:
                cells[base + STATUS_400 + status - 400] += 1
                return
            cells[base] += 1
            cells[base + LATENCY_BUCKETS + bisect_left(SECONDS, seconds)] += 1
            cells[base + LATENCY_SUM] += seconds
            cells[base + BATCH_BUCKETS + bisect_left(ROWS, rows)] += 1
            cells[base + BATCH_SUM] += rows

    def totals(self) -> dict[str, list[float]]:
        """Return the counters by name (see SIZES), summed over all workers."""
        sums = [sum(self._cells[cell::CELLS]) for cell in range(CELLS)]
        return {name: sums[start : start + SIZES[name]] for name, start in OFFSETS.items()}


def metrics_page(endpoints: Iterable[Any]) -> bytes:
    """Return the metrics of all workers in Prometheus' text format."""
    # This import is not at the top, because it would add a tenth of a second to the start-up.
    from prometheus_client import CollectorRegistry, generate_latest

    class Collector:
        """A collector that passes the metrics to the registry."""

        def collect(self) -> Iterator[Any]:
            return metric_families(endpoints)

    registry = CollectorRegistry()
    registry.register(Collector())  # type: ignore[arg-type, unused-ignore]
    return generate_latest(registry)


def metric_families(endpoints: Iterable[Any]) -> Iterator[Any]:
    """Return the metrics as prometheus_client's types."""
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    requests = CounterMetricFamily(
        "predict_requests", "Answers by route and status.", labels=["route", "status"]
    )
    latency = HistogramMetricFamily(
        "predict_latency_seconds", "Decode, predict and encode.", labels=["route"]
    )
    batch = HistogramMetricFamily("predict_batch_size", "Rows of a request.", labels=["route"])
    model = GaugeMetricFamily(
        "predict_model_info",
        "1 for the model behind a route.",
        labels=["route", "model", "digest"],
    )
    problem = GaugeMetricFamily(
        "predict_model_problem",
        "1 while a route's model file is missing or rejected.",
        labels=["route"],
    )

    for endpoint in endpoints:
        route = endpoint.path
        totals = endpoint.counts.totals()
        for status, count in zip(STATUSES, totals["status"]):
            if count:
                requests.add_metric([route, str(status)], count)
        latency_buckets = cumulative_buckets(SECONDS, totals["latency_buckets"])
        latency.add_metric([route], latency_buckets, totals["latency_sum"][0])
        batch_buckets = cumulative_buckets(ROWS, totals["batch_buckets"])
        batch.add_metric([route], batch_buckets, totals["batch_sum"][0])
        if endpoint.info:
            model.add_metric([route, endpoint.info["model"], endpoint.info["digest"]], 1)
        problem.add_metric([route], float(endpoint.problem is not None))

    return iter((requests, latency, batch, model, problem))


def cumulative_buckets(bounds: Iterable[float], counts: Iterable[float]) -> list[tuple[str, float]]:
    """Return a histogram's buckets as Prometheus defines them.

    Each bucket includes the counts of all smaller buckets.
    """
    names = [*map(str, bounds), "+Inf"]
    return list(zip(names, accumulate(counts)))
