"""The Flask app: the list of routes, and JSON for all that isn't there. The front answers everything hot before it."""

from collections.abc import Callable

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from runtime.endpoint import Endpoint, RequestError, failure
from runtime.pages.openapi import document


def create_app(endpoints: list[Endpoint], guarded: bool = False) -> Flask:
    """A WSGI application that answers the same routes as the front, by the same handler, and lists them at /.

    `guarded`: the front before it wants a key, and so says /openapi.json.
    """
    app = Flask("predict", static_folder=None)
    app.add_url_rule("/", view_func=lambda: listing(endpoints), endpoint="/")
    app.add_url_rule(
        "/openapi.json", view_func=lambda: document(endpoints, guarded), endpoint="/openapi.json"
    )
    app.json.sort_keys = False  # type: ignore[attr-defined, unused-ignore]  # else the columns lose their order
    app.url_map.merge_slashes = False  # else a doubled slash is an HTML redirect
    app.register_error_handler(HTTPException, problem)
    for endpoint in endpoints:
        app.add_url_rule(
            endpoint.path, view_func=view(endpoint), endpoint=endpoint.path, methods=["POST"]
        )
    return app


def listing(endpoints: list[Endpoint]) -> Response:
    """The routes and their models, one a line."""
    states = ((e, "ready" if e.ready else e.problem or "not ready") for e in endpoints)
    lines = (f"POST {e.path}  {e.info.get('model', '')}  {state}\n" for e, state in states)
    return Response("".join(lines), mimetype="text/plain")


def problem(error: HTTPException) -> Response:
    """Flask's own 404, 405 and so on, as JSON."""
    status, name = error.code or 500, error.name or "error"
    message = f"{request.method} {request.path}: {name}; / lists the routes"
    body = failure(RequestError(status, name.lower().replace(" ", "_"), message)).body
    response = Response(body, status, mimetype="application/json")
    if getattr(error, "valid_methods", None):
        response.headers["Allow"] = ", ".join(error.valid_methods)
    return response


def view(endpoint: Endpoint) -> Callable[[], Response]:
    """The Flask view of one endpoint."""

    def answer() -> Response:
        response = endpoint.answer(request.get_data(), request.content_type)
        return Response(response.body, response.status, mimetype="application/json")

    return answer
