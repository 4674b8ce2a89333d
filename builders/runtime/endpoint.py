"""A route independent of HTTP: it turns a request body into a response.

A predict function takes a Message and returns a dict that JSON can represent. The dict is wrapped
as {"payload": ...} unless it has the key `payload`. An exception with a `status` (400 to 599) is
sent to the client, with its `code` and `path` if it has them. Any other exception becomes a 500
response, and its traceback is written to the log only.
"""

import codecs
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from runtime.answer import check_answer, encode_value
from runtime.environment import Route
from runtime.errors import RequestError, Response, error_response
from runtime.hook import ModelHook
from runtime.loader import load_function
from runtime.log import log_event
from runtime.message import Message, call
from runtime.metrics import Counts
from runtime.text import truncate

MAX_ROWS = 100_000
CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([^\s;"']+)""", re.IGNORECASE)
# ASCII is a part of UTF-8. JSON is always UTF-8 (RFC 8259).
UTF_8 = ("utf-8", "utf8", "us-ascii", "ascii")
# The first bytes of bodies that clients send by mistake. One mark of UTF-32 begins with one of
# UTF-16.
BEGINNINGS = {
    codecs.BOM_UTF32_LE: "it is UTF-32",
    codecs.BOM_UTF32_BE: "it is UTF-32",
    codecs.BOM_UTF16_LE: "it is UTF-16",
    codecs.BOM_UTF16_BE: "it is UTF-16",
    b"\x1f\x8b": "it is compressed with gzip",
}

# A Decoder is faster than the function msgspec.json.decode.
_decode = msgspec.json.Decoder().decode

# A response, the seconds until it existed, and its number of rows, for /metrics. A NamedTuple would
# take 2 % of the time of a small request.
Outcome = tuple[Response, float, int]


class Endpoint:
    """A route with its predict function, the function's hook and the route's counters."""

    def __init__(
        self,
        path: str,
        function: Callable[[Message], Any],
        max_rows: int = MAX_ROWS,
        counts: Counts | None = None,
    ) -> None:
        self.path = f"/{path}"
        self.function = function
        self.max_rows = max_rows
        self.hook: ModelHook | None = getattr(function, "hook", None)
        self.problem: str | None = None
        self.digest: str | None = None
        # Why the thread of the function cannot run another call. It is empty if it can.
        self.overdue = ""
        self.counts = counts or Counts()

    @property
    def ready(self) -> bool:
        """Whether the model can answer."""
        return self.hook is None or bool(self.hook.ready)

    @property
    def obstacle(self) -> str:
        """Why the route cannot answer, for /ready. It is empty if the route can."""
        if self.overdue or self.ready:
            return self.overdue
        return self.problem or "not loaded yet"

    @property
    def quick_bytes(self) -> int:
        """The largest body, in bytes, that the event loop may answer."""
        return 0 if self.hook is None else int(self.hook.quick_bytes)

    @property
    def info(self) -> Mapping[str, str]:
        """The hook's short texts: name and digest of the model."""
        return {} if self.hook is None else self.hook.info

    def refresh(self) -> None:
        """Let the hook load its model file if the file has changed.

        A change is logged once. A problem is kept for /ready.
        """
        if self.hook is None:
            return
        try:
            self.hook.refresh()
        except Exception as error:
            problem: str | None = truncate(str(error))
        else:
            problem = None

        info = self.info if self.ready else {}
        self._log_problem(problem, info)
        self._log_new_model(info)
        self.problem = problem

    def _log_problem(self, problem: str | None, info: Mapping[str, str]) -> None:
        if problem is None or problem == self.problem:
            return
        fields = self._model_fields(info)
        log_event("model rejected", f"{self.path}: {problem}", logging.WARNING, **fields)

    def _log_new_model(self, info: Mapping[str, str]) -> None:
        digest = info.get("digest")
        if digest is None or digest == self.digest:
            return
        event = "model swapped" if self.digest else "model loaded"
        log_event(event, f"{self.path}: {event}, digest {digest}", **self._model_fields(info))
        self.digest = digest

    def _model_fields(self, info: Mapping[str, str]) -> dict[str, Any]:
        return {"route": self.path, "model": info.get("model"), "digest": info.get("digest")}

    def answer(
        self, body: bytes | bytearray, content_type: str | None = None, encoding: bytes = b""
    ) -> Response:
        """Return the response to a request and count it."""
        return self.count(*self.compute(body, content_type, encoding))

    def compute(
        self, body: bytes | bytearray, content_type: str | None = None, encoding: bytes = b""
    ) -> Outcome:
        """Decode `body`, call the function and encode its answer.

        `content_type` and `encoding` are the headers Content-Type and Content-Encoding.
        Errors become responses; this method does not raise them.
        """
        started = time.perf_counter()
        rows = 0
        try:
            self._check_request(content_type, encoding)
            message = decode(body)
            rows = batch_size(message)
            self._check_rows(rows)
            response = Response(200, encode(call(self.function, message)))
        # No exception of a function may end the server: SystemExit, KeyboardInterrupt,
        # asyncio.CancelledError and GeneratorExit are no subclasses of Exception.
        except BaseException as error:
            response = error_response(error)
        return response, time.perf_counter() - started, rows

    def count(self, response: Response, seconds: float, rows: int) -> Response:
        """Count an outcome and return its response."""
        self.counts.add(response.status, seconds, rows)
        return response

    def reject(self, response: Response) -> Response:
        """Count and return the response to a request whose body was not read."""
        return self.count(response, 0.0, 0)

    def _check_request(self, content_type: str | None, encoding: bytes) -> None:
        if content_type and content_type != "application/json":
            check_content_type(content_type)
        if encoding and encoding.strip().lower() != b"identity":
            found = f"found a body with Content-Encoding {encoding.decode('latin-1')!r}"
            message = f"{found}. Send the body without compression."
            raise RequestError(415, "unsupported_media_type", message)
        if not self.ready:
            reason = self.problem or "the model is not loaded yet. Try again."
            raise RequestError(503, "not_ready", reason)

    def _check_rows(self, rows: int) -> None:
        if rows > self.max_rows:
            message = (
                f"found {rows:,} rows, expected at most {self.max_rows:,}. Send fewer rows at once."
            )
            raise RequestError(413, "too_many_rows", message, "instances")


def check_content_type(content_type: str) -> None:
    """Raise RequestError unless a Content-Type header is JSON in UTF-8."""
    if not is_json(content_type):
        found = f"expected JSON, found content type {content_type!r}"
        advice = "Send -H 'Content-Type: application/json'"
        raise RequestError(415, "unsupported_media_type", f"{found}. {advice}.")

    for charset in CHARSET.findall(content_type):
        if charset.lower() not in UTF_8:
            message = f"expected UTF-8, found charset {charset!r}. Send the body in UTF-8."
            raise RequestError(415, "unsupported_media_type", message)


def is_json(content_type: str) -> bool:
    """Return whether a Content-Type header is JSON."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/json":
        return True
    return media_type.startswith("application/") and media_type.endswith("+json")


def decode(body: bytes | bytearray) -> Message:
    """Return the message in a request body.

    Raises RequestError: 400 if the body is not JSON, 422 if it has no payload.
    """
    # RFC 8259 lets a server ignore a byte order mark.
    if body.startswith(codecs.BOM_UTF8):
        body = body[len(codecs.BOM_UTF8) :]
    try:
        message = _decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        message = f"the body is not JSON: {_json_problem(body, error)}"
        raise RequestError(400, "malformed_json", message) from error
    if not isinstance(message, dict) or "payload" not in message:
        expected = 'expected {"payload": ...}, found no payload'
        raise RequestError(422, "invalid_body", expected, "payload")
    return Message(message)


def _json_problem(body: bytes | bytearray, error: Exception) -> str:
    """Return why a body is not JSON, with the cause if it is a known one."""
    for beginning, found in BEGINNINGS.items():
        if body.startswith(beginning):
            return f"{found}. Send JSON in UTF-8."
    return str(error) if body else "an empty body"


def batch_size(message: Message) -> int:
    """Return the number of rows in a message with instances, or else 1."""
    payload = message["payload"]
    if not isinstance(payload, dict):
        return 1
    instances = payload.get("instances")
    if not isinstance(instances, list):
        return 1
    is_flat_row = bool(instances) and not isinstance(instances[0], (list, dict))
    return 1 if is_flat_row else len(instances)


def encode(answer: Any) -> bytes:
    """Return a function's answer as a response body.

    Raises AnswerError for an answer that has no JSON form.
    """
    check_answer(answer)
    encoded = encode_value(answer)
    return encoded if "payload" in answer else b'{"payload":%b}' % encoded


def load_endpoints(
    routes: Iterable[Route],
    max_rows: int = MAX_ROWS,
    counts: Mapping[str, Counts] | None = None,
) -> list[Endpoint]:
    """Import the functions of `routes` and return an endpoint for each route.

    `counts` are the counters of all workers, by path.

    Raises ConfigurationError, which names the route, if a function cannot be loaded.
    """
    endpoints = []
    for route in routes:
        function = load_function(f"route {route.path}", route.module, route.function)
        shared = (counts or {}).get(route.path)
        endpoints.append(Endpoint(route.path, function, max_rows, shared))
    return endpoints
