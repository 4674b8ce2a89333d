"""The Flask app: the list of routes, and JSON for all that isn't there. The front answers everything hot before it."""

from collections.abc import Callable

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from runtime.handler import Endpoint, RequestError, failure


def create_app(endpoints: list[Endpoint]) -> Flask:
    """A WSGI application that answers the same routes as the front, by the same handler, and lists them at /."""
    app = Flask("predict", static_folder=None)
    app.json.sort_keys = False

    @app.get("/")
    def routes() -> Response:
        lines = [
            f"POST {e.path}  {e.info.get('model', '')}  {'ready' if e.ready else e.problem or 'not ready'}\n"
            for e in endpoints
        ]
        return Response("".join(lines), mimetype="text/plain")

    @app.errorhandler(HTTPException)
    def problem(error: HTTPException) -> Response:
        status = error.code or 500
        code = (error.name or "error").lower().replace(" ", "_")
        message = f"{request.method} {request.path}: {error.name}; / lists the routes"
        response = Response(failure(RequestError(status, code, message)).body, status, mimetype="application/json")
        if getattr(error, "valid_methods", None):
            response.headers["Allow"] = ", ".join(error.valid_methods)
        return response

    for endpoint in endpoints:
        app.add_url_rule(
            endpoint.path, endpoint.path, view(endpoint), methods=["POST"], provide_automatic_options=False
        )
    return app


def view(endpoint: Endpoint) -> Callable[[], Response]:
    """The Flask view of one endpoint."""

    def answer() -> Response:
        response = endpoint.answer(request.get_data(), request.content_type)
        return Response(response.body, response.status, mimetype="application/json")

    return answer
