"""What /metrics tells: requests by route and status, latency, batch size, the model behind each route.

With several workers prometheus_client sums over processes by files in PROMETHEUS_MULTIPROC_DIR, which must be
set before this module is imported.
"""

import functools
import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS = (1, 10, 100, 1_000, 10_000, 100_000)

REGISTRY = CollectorRegistry()
REQUESTS = Counter("predict_requests", "Answers by route and status.", ["route", "status"], registry=REGISTRY)
LATENCY = Histogram(
    "predict_latency_seconds", "Decode, predict and encode.", ["route"], buckets=SECONDS, registry=REGISTRY
)
BATCH = Histogram("predict_batch_size", "Rows of a request.", ["route"], buckets=ROWS, registry=REGISTRY)
MODEL = Gauge(
    "predict_model_info",
    "1 for the model that a route answers with.",
    ["route", "model", "digest"],
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
_shown: dict[str, tuple[str, str]] = {}


# Looking a label up costs more than counting: the three children of a route and status are kept.
@functools.cache
def _children(route: str, status: int) -> tuple[Counter, Histogram, Histogram]:
    return REQUESTS.labels(route, str(status)), LATENCY.labels(route), BATCH.labels(route)


def observe(route: str, status: int, seconds: float, rows: int) -> None:
    """Counts one answer; latency and batch size only of those that were predictions."""
    requests, latency, batch = _children(route, status)
    requests.inc()
    if status == 200:
        latency.observe(seconds)
        batch.observe(rows)


def show_model(route: str, info: dict[str, str]) -> None:
    """Shows the model behind `route`; the one before it, if any, goes to 0."""
    now = info.get("model", ""), info.get("digest", "")
    if now == _shown.get(route, ("", "")):
        return
    if route in _shown:
        MODEL.labels(route, *_shown[route]).set(0)
    MODEL.labels(route, *now).set(1)
    _shown[route] = now


def page() -> bytes:
    """The metrics of all workers in Prometheus' text format."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry)
