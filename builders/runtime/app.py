"""The ASGI front: reads bodies within limits, answers predict routes, /health, /ready and /metrics.

All else goes to the Flask app, which is imported when first asked for: no prediction waits for Flask.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import msgspec

from runtime import metrics
from runtime.endpoint import Endpoint, RequestError, Response, failure
from runtime.log import request_id, tell_request

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Headers = dict[bytes, bytes]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
REFRESH_SECONDS = 1.0
CUT_SECONDS = 0.25
JSON = b"application/json"
# The format that Prometheus asks for; prometheus_client.generate_latest writes it.
METRICS = b"text/plain; version=0.0.4; charset=utf-8"
CLOSE = (b"connection", b"close")
# What a status says beside its body. A reply that leaves a body unread closes the connection, but not 401: many a
# client would see a reset instead of it.
HEADERS = {
    401: (b"www-authenticate", b"Bearer"),
    408: CLOSE,
    413: CLOSE,
    503: (b"retry-after", b"1"),
}


class Limits(NamedTuple):
    """What a request may take: bytes of its body, seconds until that is there, seconds until its header is, rows.

    `waiting`: how many batches may be in the inference thread and wait for it, in each worker. What is answered on
    the event loop needs no such limit: a connection has one request under way, and none takes longer than 2 ms.
    """

    body_bytes: int
    body_seconds: float
    header_seconds: float = 10
    rows: int = 100_000
    waiting: int = 100


class Disconnected(Exception):
    """The client left before its request was whole."""


class Front:
    """The ASGI application for some endpoints. `draining` is set once the worker has been told to stop."""

    def __init__(
        self,
        endpoints: list[Endpoint],
        limits: Limits,
        access_log: bool = False,
        keys: tuple[bytes, ...] = (),
    ):
        self.endpoints = {endpoint.path: endpoint for endpoint in endpoints}
        for endpoint in endpoints:
            endpoint.max_rows = limits.rows
        self.limits = limits
        self.keys = keys  # see runtime/auth.py
        self.draining = False
        self.connections: Iterable[Any] = ()  # uvicorn's, once it is there
        self._waiting = 0
        self._access_log = access_log
        self._noted = (
            200 if access_log else 400
        )  # answers from this status on get an id, and a look for a traceback
        self._reading: dict[asyncio.Task[Any], float] = {}
        self._pages: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None
        self._own = {"/health": self._health, "/ready": self._ready, "/metrics": self._metrics}

    def use_slot(self, slot: int) -> None:
        """Counts as worker number `slot` from now on."""
        for endpoint in self.endpoints.values():
            endpoint.counts.use_slot(slot)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._lifespan(receive, send)
        if scope["type"] != "http":
            return None
        endpoint = self.endpoints.get(scope["path"])
        started = time.perf_counter()
        if endpoint is not None:
            headers = dict(scope["headers"])
            try:
                response = await self._predict(endpoint, scope["method"], headers, receive)
            except Disconnected:
                return None
            if response.status >= self._noted or b"x-request-id" in headers:
                send = self._noting(send, scope, started, endpoint, getattr(response, "trace", ""))
            return await self._send(send, response)
        send = self._noting(send, scope, started)
        own = self._own.get(scope["path"])
        if own is None:
            return await (await self._flask())(scope, receive, send)
        if scope["method"] not in ("GET", "HEAD"):
            return await self._send(
                send, failure(wrong_method(scope["method"], "GET, HEAD")), allow=b"GET, HEAD"
            )
        return await own(send)

    def _noting(
        self, send: Send, scope: Scope, started: float, endpoint: Any = None, trace: str = ""
    ) -> Send:
        """`send`, but the reply gets the request's id, and a line in the log if it is a failure or all get one."""
        name = request_id(dict(scope["headers"]).get(b"x-request-id"))
        noted: dict[str, Any] = {key: scope[key] for key in ("method", "path")}

        async def noting(event: MutableMapping[str, Any]) -> None:
            if event["type"] == "http.response.start":
                event["headers"] = [*event["headers"], (b"x-request-id", name)]
                if trace or self._access_log:
                    noted.update(
                        {key: endpoint.info.get(key) for key in ("model", "digest")}
                        if endpoint
                        else {}
                    )
                    milliseconds = round((time.perf_counter() - started) * 1000, 3)
                    noted.update(
                        status=event["status"], milliseconds=milliseconds, request=name.decode()
                    )
                    tell_request(trace, **noted)
            await send(event)

        return noting

    async def _predict(
        self, endpoint: Endpoint, method: str, headers: Headers, receive: Receive
    ) -> Response:
        """Reads the body and has the endpoint answer it: here if that is quick, else in the inference thread."""
        if method != "POST":
            return endpoint.refuse(wrong_method(method, "POST"))
        try:
            body = await self._body(headers.get(b"content-length"), receive)
        except RequestError as error:
            return endpoint.refuse(error)
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        if len(body) <= endpoint.quick_bytes:
            return endpoint.answer(body, content_type)
        if self._waiting >= self.limits.waiting:
            message = f"{self._waiting} batches are waiting already: try again in a second"
            return endpoint.refuse(RequestError(503, "overloaded", message))
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._inference, endpoint.answer, body, content_type)
        finally:
            self._waiting -= 1

    async def _body(self, length: bytes | None, receive: Receive) -> bytearray:
        """The whole body; raises RequestError if it is too large or too slow, Disconnected if it never comes."""
        if length is not None and int(length) > self.limits.body_bytes:
            raise too_large(self.limits.body_bytes)
        task = asyncio.current_task()
        assert task is not None
        self._reading[task] = time.monotonic() + self.limits.body_seconds
        try:
            return await self._chunks(receive)
        except asyncio.CancelledError:
            if self._reading[task] > time.monotonic():
                raise
            task.uncancel()
            seconds = self.limits.body_seconds
            raise RequestError(
                408, "too_slow", f"the body wasn't there after {seconds:g} s"
            ) from None
        finally:
            del self._reading[task]

    async def _cut_slow(self) -> None:
        """Ends the requests whose body or header is overdue; a timer for each would cost more than its prediction."""
        since: dict[Any, float] = {}
        while True:
            await asyncio.sleep(CUT_SECONDS)
            now = time.monotonic()
            for task in [task for task, deadline in self._reading.items() if deadline <= now]:
                task.cancel()
            late = [(each, each.cycle) for each in self.connections if waits_for_header(each)]
            since = {request: since.get(request, now) for request in late}
            for connection, _ in (
                request for request in late if since[request] + self.limits.header_seconds <= now
            ):
                connection.transport.abort()

    async def _chunks(self, receive: Receive) -> bytearray:
        body = bytearray()
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise Disconnected
            body += event.get("body", b"")
            if len(body) > self.limits.body_bytes:
                raise too_large(self.limits.body_bytes)
            if not event.get("more_body"):
                return body

    async def _send(
        self, send: Send, response: Response, content_type: bytes = JSON, allow: bytes = b"POST"
    ) -> None:
        """Sends a response; after one that leaves the body unread, and while draining, the connection is closed."""
        status, body = response
        headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
        if status in HEADERS:
            headers.append(HEADERS[status])
        elif status == 405:
            headers.append((b"allow", allow))
        if self.draining and CLOSE not in headers:
            headers.append(CLOSE)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _health(self, send: Send) -> None:
        await self._send(send, Response(200, b'{"status":"alive"}'))

    async def _ready(self, send: Send) -> None:
        """503 while draining, and until every model has answered its golden rows; the body names who isn't ready."""
        waiting = {
            e.path: e.problem or "not loaded yet" for e in self.endpoints.values() if not e.ready
        }
        response: Response
        if self.draining:
            response = failure(RequestError(503, "stopping", "the server is stopping"))
        elif waiting:
            reasons = "; ".join(f"{path}: {reason}" for path, reason in waiting.items())
            response = failure(RequestError(503, "not_ready", reasons))
        else:
            routes = {path: endpoint.info for path, endpoint in self.endpoints.items()}
            response = Response(200, msgspec.json.encode({"status": "ready", "routes": routes}))
        await self._send(send, response)

    async def _metrics(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        page = await loop.run_in_executor(None, metrics.page, list(self.endpoints.values()))
        await self._send(send, Response(200, page), METRICS)

    async def _flask(self) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        """The Flask app as ASGI; importing it takes a third of a second, so not on the event loop."""
        if self._pages is None:
            loop = asyncio.get_running_loop()
            self._pages = await loop.run_in_executor(None, _import_pages, self)
        return self._pages

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Starts what a worker needs of its own (a thread does not outlive a fork), and ends it."""
        await receive()
        # One thread: a second inference beside the first would only make both slower.
        self._inference = ThreadPoolExecutor(1, "inference")
        # A worker that takes a dead one's place has the models of the start, not those that replaced them since.
        await self._refresh_all()
        tasks = [asyncio.create_task(self._refresh()), asyncio.create_task(self._cut_slow())]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in tasks:
            task.cancel()
        self._inference.shutdown(wait=False, cancel_futures=True)
        await send({"type": "lifespan.shutdown.complete"})

    async def _refresh(self) -> None:
        """Looks for replaced model files, for as long as the worker lives."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self._refresh_all()

    async def _refresh_all(self) -> None:
        loop = asyncio.get_running_loop()
        for endpoint in self.endpoints.values():
            await loop.run_in_executor(None, endpoint.refresh)


def _import_pages(front: Front) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    from a2wsgi import WSGIMiddleware

    from runtime.pages.app import create_app

    return WSGIMiddleware(create_app(list(front.endpoints.values()), bool(front.keys)))


def wrong_method(method: str, allowed: str) -> RequestError:
    """405, saying which methods there are."""
    return RequestError(405, "method_not_allowed", f"expected {allowed}, found {method}")


def too_large(limit: int) -> RequestError:
    """413, saying how much would have been taken."""
    return RequestError(
        413, "too_large", f"the body has more than {limit:,} bytes: send fewer rows at once"
    )


def waits_for_header(connection: Any) -> bool:
    """Whether nothing or part of a header is all that uvicorn has of a request; it ends only idle ones itself."""
    request, idle = connection.cycle, connection.timeout_keep_alive_task is not None
    return not idle and (request is None or request.response_complete)
