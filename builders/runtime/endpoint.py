"""One route without any transport: the bytes of a request's body in, a status and bytes out.

A predict function takes a Message and returns what JSON can hold. What it returns becomes {"payload": ...}, unless
it has a payload of its own. An exception with a `status` (400 to 599) is an answer for the client, with its `code`
and `path` if it has them; any other is a 500 whose traceback goes to the log only.
"""

import logging
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from runtime.environment import Route
from runtime.log import tell
from runtime.message import Message, find, plain
from runtime.metrics import Counts


class Response(NamedTuple):
    """What goes back to the client: an HTTP status and a JSON body."""

    status: int
    body: bytes


class Failure(Response):
    """The answer to an error. `trace`: the traceback, for the log, if the server or the function is to blame."""

    trace: str


class RequestError(Exception):
    """A request that can't be answered, with the status and the code that say why."""

    def __init__(self, status: int, code: str, message: str, path: str | None = None):
        super().__init__(message)
        self.status = status
        self.code = code
        self.path = path


class Endpoint:
    """A route with its function, and what the function's hook (see utils/serving.py) says of it, if it has one."""

    def __init__(self, path: str, function: Callable[[Message], Any]):
        self.path = f"/{path}"
        self.function = function
        self.hook = getattr(function, "hook", None)
        self.problem: str | None = None
        self.digest: str | None = None
        self.max_rows = 100_000
        self.counts = Counts()

    @property
    def ready(self) -> bool:
        return self.hook is None or bool(self.hook.ready)

    @property
    def quick_bytes(self) -> int:
        """Bodies up to this size may be answered on the event loop."""
        return 0 if self.hook is None else int(self.hook.quick_bytes)

    @property
    def info(self) -> dict[str, str]:
        """The hook's short texts: name and digest of the model."""
        return {} if self.hook is None else self.hook.info

    def refresh(self) -> None:
        """Lets the hook bring its model up to date; a problem is logged once and kept for /ready."""
        if self.hook is None:
            return
        try:
            self.hook.refresh()
            problem = None
        except Exception as error:
            problem = str(error)
        info = self.info if self.ready else {}
        model: dict[str, Any] = {
            "route": self.path,
            "model": info.get("model"),
            "digest": info.get("digest"),
        }
        if problem not in (None, self.problem):
            tell("model refused", f"{self.path}: {problem}", logging.WARNING, **model)
        if model["digest"] not in (None, self.digest):
            event = "model swapped" if self.digest else "model loaded"
            tell(event, f"{self.path}: {event}, digest {model['digest']}", **model)
            self.digest = model["digest"]
        self.problem = problem

    def answer(self, body: bytes | bytearray, content_type: str | None = None) -> Response:
        """Decodes `body`, calls the function, encodes its answer; every error becomes a status and a JSON body."""
        started = time.perf_counter()
        rows = 0
        try:
            self._check(content_type)
            message = decode(body)
            rows = batch_size(message)
            if rows > self.max_rows:
                text = (
                    f"found {rows:,} rows, expected at most {self.max_rows:,}: send fewer at once"
                )
                raise RequestError(413, "too_many_rows", text, "instances")
            response = Response(200, encode(self.function(message)))
        except (
            Exception,
            SystemExit,
        ) as error:  # a function that calls sys.exit() must not end the server
            response = failure(error)
        self.counts.add(response.status, time.perf_counter() - started, rows)
        return response

    def refuse(self, error: RequestError) -> Response:
        """The answer to a request whose body was not even read, counted like any other."""
        self.counts.add(error.status, 0.0, 0)
        return failure(error)

    def _check(self, content_type: str | None) -> None:
        if not is_json(content_type):
            raise RequestError(
                415, "unsupported_media_type",
                f"expected JSON, found content type {content_type!r}: send -H 'Content-Type: application/json'",
            )  # fmt: skip
        if not self.ready:
            raise RequestError(
                503, "not_ready", self.problem or "the model is not loaded yet; try again"
            )


def is_json(content_type: str | None) -> bool:
    """Whether a Content-Type header's value says JSON; none at all counts as JSON."""
    if not content_type or content_type == "application/json":
        return True
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )


def decode(body: bytes | bytearray) -> Message:
    """The message in a request's body; raises RequestError: 400 if it isn't JSON, 422 if it has no payload."""
    try:
        message = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        found = "an empty body" if not body else str(error)
        raise RequestError(400, "malformed_json", f"the body is not JSON: {found}") from error
    if not isinstance(message, dict) or "payload" not in message:
        raise RequestError(
            422, "invalid_body", 'expected {"payload": ...}, found no payload', "payload"
        )
    return Message(message)


def batch_size(message: Message) -> int:
    """The rows in a message of the usual form; 1 for any other."""
    payload = message["payload"]
    instances = payload.get("instances") if isinstance(payload, dict) else None
    if not isinstance(instances, list):
        return 1
    return len(instances) if not instances or isinstance(instances[0], (list, dict)) else 1


def encode(answer: Any) -> bytes:
    """A function's answer as the body of a reply; raises TypeError for what JSON can't hold."""
    if not isinstance(answer, dict):
        raise TypeError(f"a predict function must return a dict, found {type(answer).__name__}")
    return msgspec.json.encode(
        answer if "payload" in answer else {"payload": answer}, enc_hook=plain
    )


def failure(error: BaseException) -> Failure:
    """The reply to an error: its own status if it has one, else 500; a 5xx of the function's has a traceback."""
    status = getattr(error, "status", None)
    trace = ""
    if (
        not isinstance(status, int)
        or not 400 <= status < 500
        and not isinstance(error, RequestError)
    ):
        trace = "".join(traceback.format_exception(error))
    if not isinstance(status, int) or not 400 <= status <= 599:
        status, error = (
            500,
            RequestError(
                500, "internal_error", "the predict function failed; see the server's log"
            ),
        )
    code, path = getattr(error, "code", "error"), getattr(error, "path", None)
    message = str(error).encode(errors="backslashreplace").decode()
    body = {"code": str(code), "message": message, "path": None if path is None else str(path)}
    response = Failure(status, msgspec.json.encode({"error": body}))
    response.trace = trace
    return response


def endpoints(routes: Iterable[Route]) -> list[Endpoint]:
    """The routes with their functions imported; raises ConfigurationError naming the route that has none."""
    return [
        Endpoint(route.path, find(f"route {route.path}", route.module, route.function))
        for route in routes
    ]
