"""Errors that become responses: an HTTP status and a JSON body."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from runtime.text import format_traceback, truncate

JSON = b"application/json"


class Response(NamedTuple):
    """A response to the client.

    `traceback` is for the log only. It is set if the server or the function caused the error.
    `allow` is the value of the Allow header of a 405 response.
    """

    status: int
    body: bytes
    traceback: str = ""
    content_type: bytes = JSON
    allow: bytes = b""


class RequestError(Exception):
    """A request that cannot be answered.

    `status`, `code` and `path` are those of the response. `routes` are the reasons of routes that
    are not ready, by path.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        path: str | None = None,
        routes: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status = status
        self.code = code
        self.path = path
        self.routes = routes


def error_response(error: BaseException, allow: bytes = b"") -> Response:
    """Return the response to `error`.

    Its status is that of `error` if it is from 400 to 599, and 500 otherwise.
    """
    status, body = _status_and_body(error)
    is_expected = isinstance(error, RequestError) or status < 500
    details = "" if is_expected else format_traceback(error)
    return Response(status, body, details, allow=allow)


def _status_and_body(error: BaseException) -> tuple[int, bytes]:
    try:
        status = getattr(error, "status", None)
        if isinstance(status, int) and 400 <= status <= 599:
            return int(status), _error_body(error)
    # An application's exception may fail while its attributes or its text are read.
    except BaseException:
        pass
    message = "the predict function failed. See the server's log."
    return 500, _error_body(RequestError(500, "internal_error", message))


def method_not_allowed(method: str, allowed: str) -> Response:
    """Return a 405 response that names the allowed methods."""
    error = RequestError(405, "method_not_allowed", f"expected {allowed}, found {method}")
    return error_response(error, allow=allowed.encode())


def _error_body(error: BaseException) -> bytes:
    code = getattr(error, "code", "error")
    path = getattr(error, "path", None)
    fields: dict[str, Any] = {
        "code": str(code),
        "message": _json_text(str(error)),
        "path": None if path is None else _json_text(str(path)),
    }
    if isinstance(error, RequestError) and error.routes:
        fields["routes"] = {route: _json_text(text) for route, text in error.routes.items()}
    return msgspec.json.encode({"error": fields})


def _json_text(text: str) -> str:
    # A message may contain a lone surrogate, which JSON cannot represent.
    return truncate(text).encode(errors="backslashreplace").decode()
