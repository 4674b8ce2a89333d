"""The pages for probes and Prometheus: /health, /ready and /metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from runtime.endpoint import Endpoint
from runtime.errors import RequestError, Response, error_response
from runtime.metrics import metrics_page

# The format that prometheus_client.generate_latest writes.
METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


async def health(endpoints: Sequence[Endpoint], draining: bool) -> Response:
    """Return 200 as long as the worker's event loop runs."""
    return Response(200, b'{"status":"alive"}')


async def ready(endpoints: Sequence[Endpoint], draining: bool) -> Response:
    """Return 200 if every route can answer, or else 503 with the reasons.

    While the server is draining, the response is 503 too. A worker that drains because a function
    does not return gives this reason.
    """
    is_stuck = any(endpoint.overdue for endpoint in endpoints)
    if draining and not is_stuck:
        return error_response(RequestError(503, "stopping", "the server is stopping"))

    reasons = {endpoint.path: endpoint.obstacle for endpoint in endpoints if endpoint.obstacle}
    if reasons:
        message = "; ".join(f"{path}: {reason}" for path, reason in reasons.items())
        return error_response(RequestError(503, "not_ready", message, routes=reasons))

    routes = {endpoint.path: endpoint.info for endpoint in endpoints}
    return Response(200, msgspec.json.encode({"status": "ready", "routes": routes}))


async def metrics(endpoints: Sequence[Endpoint], draining: bool) -> Response:
    """Return the metrics of all workers.

    A thread writes them, because that takes milliseconds.
    """
    loop = asyncio.get_running_loop()
    page = await loop.run_in_executor(None, metrics_page, endpoints)
    return Response(200, page, content_type=METRICS_TYPE)


PROBES: dict[str, Callable[[Sequence[Endpoint], bool], Awaitable[Response]]] = {
    "/health": health,
    "/ready": ready,
    "/metrics": metrics,
}
