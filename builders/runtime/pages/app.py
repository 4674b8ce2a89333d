"""The Flask application: list of routes, OpenAPI document, 404 for unknown paths.

The ASGI application answers predict routes itself. The Flask application has them too, so that
tests need no server.
"""

import io
from collections.abc import Callable, MutableMapping
from typing import Any

from a2wsgi.wsgi import build_environ
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.test import run_wsgi_app

from runtime import errors
from runtime.endpoint import Endpoint
from runtime.errors import RequestError, error_response
from runtime.pages.openapi import openapi_document


def create_app(endpoints: list[Endpoint], has_keys: bool = False) -> Flask:
    """Return a WSGI application that lists the routes at / and answers them.

    With `has_keys`, /openapi.json states that the server requires an API key.
    """
    app = Flask("predict", static_folder=None)
    # The columns of a model must keep their order.
    app.json.sort_keys = False  # type: ignore[attr-defined, unused-ignore]
    # With merged slashes, Flask would answer a doubled slash with a redirect in HTML.
    app.url_map.merge_slashes = False
    app.register_error_handler(HTTPException, http_error)

    app.add_url_rule("/", endpoint="/", view_func=lambda: route_list(endpoints))
    app.add_url_rule(
        "/openapi.json",
        endpoint="/openapi.json",
        view_func=lambda: openapi_document(endpoints, has_keys),
    )
    for endpoint in endpoints:
        app.add_url_rule(
            endpoint.path,
            endpoint=endpoint.path,
            view_func=predict_view(endpoint),
            methods=["POST"],
        )
    return app


def route_list(endpoints: list[Endpoint]) -> Response:
    """Return the routes with their models and states, one per line."""
    lines = []
    for endpoint in endpoints:
        state = "ready" if endpoint.ready else endpoint.problem or "not ready"
        lines.append(f"POST {endpoint.path}  {endpoint.info.get('model', '')}  {state}\n")
    return Response("".join(lines), mimetype="text/plain")


def http_error(error: HTTPException) -> Response:
    """Return the JSON response for an error of Flask (404, 405, ...)."""
    status = error.code or 500
    name = error.name or "error"
    code = name.lower().replace(" ", "_")
    message = f"{request.method} {request.path}: {name}; / lists the routes"
    body = error_response(RequestError(status, code, message)).body

    response = Response(body, status, mimetype="application/json")
    allowed_methods = getattr(error, "valid_methods", None)
    if allowed_methods:
        response.headers["Allow"] = ", ".join(allowed_methods)
    return response


def predict_view(endpoint: Endpoint) -> Callable[[], Response]:
    """Return the Flask view of one endpoint."""

    def view() -> Response:
        encoding = request.headers.get("Content-Encoding", "").encode("latin-1")
        response = endpoint.answer(request.get_data(), request.content_type, encoding)
        return Response(response.body, response.status, mimetype="application/json")

    return view


def page_answerer(app: Flask) -> Callable[[MutableMapping[str, Any]], errors.Response]:
    """Return a function that answers an ASGI scope with `app`.

    It passes no request body, because pages have none.
    """

    def answer(scope: MutableMapping[str, Any]) -> errors.Response:
        # No page reads a query, and build_environ fails on a query that is not ASCII.
        # The response to HEAD has the headers of the response to GET. uvicorn leaves out its body.
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        environ = build_environ({**scope, "method": method, "query_string": b""}, io.BytesIO())
        chunks, status, headers = run_wsgi_app(app, environ, buffered=True)
        return errors.Response(
            status=int(status.partition(" ")[0]),
            body=b"".join(chunks),
            content_type=headers["Content-Type"].encode(),
            allow=headers.get("Allow", "").encode(),
        )

    return answer
