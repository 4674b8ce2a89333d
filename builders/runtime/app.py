"""The ASGI application: routing, request bodies and responses.

It answers predict routes and probes itself. Flask answers all other paths. Flask is imported at
the first such request, because predictions do not need it and the import takes 0.3 s.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any

from runtime.auth import has_valid_key, unauthorized
from runtime.calls import FunctionThread, Request, RunningCalls
from runtime.endpoint import Endpoint
from runtime.errors import RequestError, Response, error_response, method_not_allowed
from runtime.http_limits import BodyReader, Disconnected, HeaderTimeout, Receive
from runtime.log import choose_request_id, log_event, log_request
from runtime.probes import PROBES
from runtime.settings import Settings

Scope = MutableMapping[str, Any]
Headers = dict[bytes, bytes]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

REFRESH_SECONDS = 1.0
LIMITS_CHECK_SECONDS = 0.25

CLOSE = (b"connection", b"close")
HEADERS_BY_STATUS = {
    401: (b"www-authenticate", b"Bearer"),
    408: CLOSE,
    503: (b"retry-after", b"1"),
}
# These responses can be sent before the body was read. The rest of the body is discarded: if the
# server closed the connection, many clients would report that and not read the response. If it does
# not end within HEADER_SECONDS, the connection is closed.
BEFORE_BODY = (401, 413)


class App:
    """The ASGI application of one worker.

    The worker sets `draining` when it begins to stop. It sets `connections` to uvicorn's open
    connections, and `running_calls` to memory that its parent reads. `replace_worker` stops the
    worker. `keys` are the API keys. Without keys, every request is accepted.
    """

    def __init__(
        self, endpoints: Sequence[Endpoint], settings: Settings, keys: tuple[bytes, ...] = ()
    ):
        self.endpoints = {endpoint.path: endpoint for endpoint in endpoints}
        self.settings = settings
        self.keys = keys
        self.draining = False
        self.connections: Iterable[Any] = ()
        self.running_calls = RunningCalls()
        self.replace_worker: Callable[[], None] = lambda: None

        self._body_reader = BodyReader(settings.max_body_bytes, settings.body_seconds)
        self._header_timeout = HeaderTimeout(settings.header_seconds)
        self._batches = 0
        self._answer_page: Callable[[Scope], Response] | None = None
        # Without ACCESS_LOG=1, a successful prediction gets no request id and no line in the log.
        self._lowest_status_with_id = 200 if settings.access_log else 400

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope.

        Its type is `http` for a request, and `lifespan` for the worker's start-up and shutdown.
        """
        if scope["type"] == "lifespan":
            return await self._lifespan(receive, send)
        if scope["type"] != "http":
            return None

        started = time.perf_counter()
        endpoint = self.endpoints.get(scope["path"])
        headers = dict(scope["headers"])
        try:
            response = await self._respond(scope, endpoint, headers, receive)
        except Disconnected:
            return None
        # The function's hook has failed.
        except Exception as error:
            response = error_response(error)
            if endpoint is not None:
                endpoint.reject(response)

        request_id = None
        sent_id = headers.get(b"x-request-id")
        needs_id = response.status >= self._lowest_status_with_id
        if needs_id or sent_id is not None or endpoint is None:
            request_id = scope.get("request_id") or choose_request_id(sent_id)
            self._log(scope, endpoint, response, request_id, started)
        # A client that sends `Expect: 100-continue` sends no body after these responses.
        expects_continue = response.status in BEFORE_BODY and b"expect" in headers
        return await self._send(send, response, request_id, self.draining or expects_continue)

    async def _respond(
        self, scope: Scope, endpoint: Endpoint | None, headers: Headers, receive: Receive
    ) -> Response:
        """Return the response to a request.

        Raises Disconnected if the client closed the connection.
        """
        if self.keys and scope["path"] not in PROBES and not has_valid_key(headers, self.keys):
            response = unauthorized()
            return response if endpoint is None else endpoint.reject(response)
        if endpoint is not None:
            return await self._predict(scope, endpoint, headers, receive)
        if scope["path"] in PROBES:
            return await self._probe(scope["path"], scope["method"])
        return await self._page(scope)

    async def _predict(
        self, scope: Scope, endpoint: Endpoint, headers: Headers, receive: Receive
    ) -> Response:
        """Read the body and let the endpoint answer it."""
        if scope["method"] != "POST":
            return endpoint.reject(method_not_allowed(scope["method"], "POST"))
        try:
            body = await self._body_reader.read(headers.get(b"content-length"), receive)
        except RequestError as error:
            return endpoint.reject(error_response(error))

        content_type = headers.get(b"content-type", b"").decode("latin-1")
        encoding = headers.get(b"content-encoding", b"")
        if len(body) <= endpoint.quick_bytes:
            return endpoint.answer(body, content_type, encoding)
        # If the worker crashes, its parent logs the id.
        scope["request_id"] = choose_request_id(headers.get(b"x-request-id"))
        request = (body, content_type, encoding)
        return await self._answer_in_thread(endpoint, request, scope["request_id"])

    async def _answer_in_thread(
        self, endpoint: Endpoint, request: Request, request_id: bytes
    ) -> Response:
        """Let the endpoint answer in the thread of its function.

        Returns 503 if too many batches are waiting. Bodies that are answered on the event loop
        need no such limit: a connection has one request in flight, and an answer takes at most
        2 ms.
        """
        if self._batches >= self.settings.max_waiting:
            message = f"{self._batches} batches are already waiting. Try again in a second."
            return endpoint.reject(error_response(RequestError(503, "overloaded", message)))

        self._batches += 1
        try:
            thread = self._threads[endpoint.path]
            return await thread.answer(endpoint, request, request_id)
        finally:
            self._batches -= 1

    async def _probe(self, path: str, method: str) -> Response:
        if method not in ("GET", "HEAD"):
            return method_not_allowed(method, "GET, HEAD")
        return await PROBES[path](list(self.endpoints.values()), self.draining)

    async def _page(self, scope: Scope) -> Response:
        """Let Flask answer.

        Flask runs in a thread, because it is synchronous and the first request imports it.
        """
        loop = asyncio.get_running_loop()
        if self._answer_page is None:
            self._answer_page = await loop.run_in_executor(None, _load_pages, self)
        return await loop.run_in_executor(None, self._answer_page, scope)

    def _log(
        self,
        scope: Scope,
        endpoint: Endpoint | None,
        response: Response,
        request_id: bytes,
        started: float,
    ) -> None:
        """Log a failure; with ACCESS_LOG=1, log every request."""
        if not response.traceback and not self.settings.access_log:
            return
        fields: dict[str, Any] = {"method": scope["method"], "path": scope["path"]}
        if endpoint is not None:
            fields["model"] = endpoint.info.get("model")
            fields["digest"] = endpoint.info.get("digest")
        fields["status"] = response.status
        fields["milliseconds"] = round((time.perf_counter() - started) * 1000, 3)
        fields["request"] = request_id.decode()
        log_request(response.traceback, **fields)

    async def _send(
        self, send: Send, response: Response, request_id: bytes | None, close: bool
    ) -> None:
        """Send a response, and then close the connection if `close` is true."""
        headers = [
            (b"content-type", response.content_type),
            (b"content-length", b"%d" % len(response.body)),
        ]
        if response.status in HEADERS_BY_STATUS:
            headers.append(HEADERS_BY_STATUS[response.status])
        if response.allow:
            headers.append((b"allow", response.allow))
        if request_id is not None:
            headers.append((b"x-request-id", request_id))
        if close and CLOSE not in headers:
            headers.append(CLOSE)

        start = {"type": "http.response.start", "status": response.status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": response.body})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Start the worker's threads and tasks, and end them at shutdown.

        They cannot start before the fork, because a thread does not survive it.
        """
        await receive()
        self._threads = self._function_threads()
        # A replacement worker inherits the models of the server's start-up, which may be outdated.
        await self._refresh_models()
        tasks = [
            asyncio.create_task(self._refresh_models_regularly()),
            asyncio.create_task(self._enforce_time_limits()),
        ]
        await send({"type": "lifespan.startup.complete"})

        await receive()
        for task in tasks:
            task.cancel()
        for thread in self._threads.values():
            thread.shutdown()
        await send({"type": "lifespan.shutdown.complete"})

    def _function_threads(self) -> dict[str, FunctionThread]:
        """Return the thread for each path. Routes with the same function share one."""
        endpoints: dict[int, list[Endpoint]] = {}
        for endpoint in self.endpoints.values():
            endpoints.setdefault(id(endpoint.function), []).append(endpoint)
        seconds = self.settings.function_seconds
        threads = [
            FunctionThread(group, seconds, self.running_calls) for group in endpoints.values()
        ]
        return {endpoint.path: thread for thread in threads for endpoint in thread.endpoints}

    async def _refresh_models_regularly(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self._refresh_models()

    async def _refresh_models(self) -> None:
        """Load the model files that were replaced."""
        loop = asyncio.get_running_loop()
        for endpoint in self.endpoints.values():
            await loop.run_in_executor(None, endpoint.refresh)

    async def _enforce_time_limits(self) -> None:
        while True:
            await asyncio.sleep(LIMITS_CHECK_SECONDS)
            self._body_reader.cancel_overdue()
            self._header_timeout.close_overdue(self.connections)
            self._check_calls()

    def _check_calls(self) -> None:
        """Replace this worker if a function does not return."""
        stuck = [path for path, thread in self._threads.items() if thread.check_limit()]
        if stuck and not self.draining:
            message = f"{stuck[0]}: the predict function does not return. A new worker starts."
            log_event("worker stuck", message, logging.ERROR, route=stuck[0])
            self.replace_worker()


def _load_pages(app: App) -> Callable[[Scope], Response]:
    from runtime.pages.app import create_app, page_answerer

    return page_answerer(create_app(list(app.endpoints.values()), bool(app.keys)))
