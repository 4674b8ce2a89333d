"""The Flask app through its own test client: the handler's bytes, a list of routes, JSON where there is nothing."""

import json
from typing import Any

import pytest
from runtime.endpoint import Endpoint
from runtime.message import Message
from runtime.pages.app import create_app
from werkzeug.test import Client, TestResponse


class Refused(Exception):
    status = 422
    code = "refused"
    path = "payload"


def predict(msg: Message) -> dict[str, Any]:
    """Answers with its payload; refuses "refuse", fails on "fail"."""
    if msg.payload == "refuse":
        raise Refused("refused")
    if msg.payload == "fail":
        raise RuntimeError("a secret")
    return {"predictions": msg.payload}


class Hook:
    """A hook whose model is there, or not."""

    quick_bytes = 0

    def __init__(self, ready: bool):
        self.ready = ready
        self.info = {"model": "a_model", "digest": "1234"}

    def refresh(self) -> None:
        if not self.ready:
            raise RuntimeError("models/a_model.pkl: no such file")


def hooked(path: str, ready: bool) -> Endpoint:
    """An endpoint with a hook, brought up to date."""
    endpoint = Endpoint(path, predict)
    endpoint.hook = Hook(ready)
    endpoint.refresh()
    return endpoint


ENDPOINTS = [Endpoint("plain", predict), hooked("a/predict", True), hooked("b/predict", False)]


@pytest.fixture(scope="module")
def client() -> Client:
    """The app's test client."""
    return create_app(ENDPOINTS).test_client()


BODIES = [
    b'{"payload": [1, "\xc3\xa9"]}',
    b"",
    b"{",
    b"[]",
    b'{"payload": "refuse"}',
    b'{"payload": "fail"}',
    b"\xff\0",
]


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "text/plain", None]
)
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_a_route_answers_as_its_endpoint_does(
    client: Client, endpoint: Endpoint, body: bytes, content_type: str | None
) -> None:
    response = client.post(endpoint.path, data=body, content_type=content_type)
    expected = endpoint.answer(body, content_type)
    assert (response.status_code, response.data) == (expected.status, expected.body)
    assert response.content_type == "application/json"


def test_the_root_lists_the_routes_as_text(
    client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    response = client.get("/")
    assert (response.status_code, response.content_type) == (200, "text/plain; charset=utf-8")
    assert response.text == (
        "POST /plain    ready\n"
        "POST /a/predict  a_model  ready\n"
        "POST /b/predict  a_model  models/a_model.pkl: no such file\n"
    )


def error(response: TestResponse) -> dict[str, Any]:
    """The error that a response holds, which is JSON and never HTML."""
    assert response.content_type == "application/json" and b"<" not in response.data
    return json.loads(response.data)["error"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/none", "/plain/", "/a", "/a/predict/x", "/openapi", "/v2/health", "/%2e%2e/x"]
)
def test_what_is_not_there_is_a_404(client: Client, method: str, path: str) -> None:
    response = client.open(path, method=method)
    shown = path.replace("%2e", ".")
    assert response.status_code == 404
    assert error(response) == {
        "code": "not_found",
        "message": f"{method} {shown}: Not Found; / lists the routes",
        "path": None,
    }


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/plain", "POST"),
        ("PUT", "/a/predict", "POST"),
        ("DELETE", "/b/predict", "POST"),
        ("POST", "/", "GET"),
    ],
)
def test_a_wrong_method_is_a_405_with_allow(
    client: Client, method: str, path: str, allowed: str
) -> None:
    response = client.open(path, method=method)
    assert response.status_code == 405
    assert allowed in response.headers["Allow"].split(", ")
    message = f"{method} {path}: Method Not Allowed; / lists the routes"
    assert error(response) == {"code": "method_not_allowed", "message": message, "path": None}


@pytest.mark.parametrize("path", ["//plain", "/a//predict", "//", "///none"])
def test_doubled_slashes_are_no_redirect_and_no_html(client: Client, path: str) -> None:
    response = client.post("/", environ_overrides={"PATH_INFO": path})
    assert response.status_code in (400, 404, 405)
    assert error(response)["code"]


def test_flask_alone_would_answer_with_html() -> None:
    from flask import Flask

    with pytest.raises(AssertionError):
        error(Flask("bare", static_folder=None).test_client().get("/none"))
