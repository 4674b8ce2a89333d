"""The Flask app, through its test client: routes, the root page, JSON errors."""

import json
from typing import Any

import pytest
from flask import Flask
from runtime.endpoint import Endpoint
from runtime.message import Message
from runtime.pages.app import create_app
from support.hooks import SampleHook
from werkzeug.test import Client, TestResponse


class Rejected(Exception):
    """An error that has the attributes status, code and path."""

    status = 422
    code = "rejected"
    path = "payload"


def predict(msg: Message) -> dict[str, Any]:
    """Answer with the payload; reject "reject", fail on "fail"."""
    if msg.payload == "reject":
        raise Rejected("rejected")
    if msg.payload == "fail":
        raise RuntimeError("a private detail")
    return {"predictions": msg.payload}


def endpoint_with_hook(path: str, ready: bool) -> Endpoint:
    """Return an endpoint that has tried to load its model."""
    endpoint = Endpoint(path, predict)
    endpoint.hook = SampleHook(ready)
    endpoint.refresh()
    return endpoint


ENDPOINTS = [
    Endpoint("plain", predict),
    endpoint_with_hook("a/predict", ready=True),
    endpoint_with_hook("b/predict", ready=False),
]
BODIES = [
    b'{"payload": [1, "\xc3\xa9"]}',
    b"",
    b"{",
    b"[]",
    b'{"payload": "reject"}',
    b'{"payload": "fail"}',
    b"\xff\0",
]
CONTENT_TYPES = ["application/json", "application/json; charset=utf-8", "text/plain", None]


@pytest.fixture(scope="module")
def client() -> Client:
    """The app's test client."""
    return create_app(ENDPOINTS).test_client()


def error_in(response: TestResponse) -> dict[str, Any]:
    """Return the error in a response, which must be JSON and never HTML."""
    assert response.content_type == "application/json"
    assert b"<" not in response.data
    error: dict[str, Any] = json.loads(response.data)["error"]
    return error


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_route_returns_the_response_of_its_endpoint(
    client: Client, endpoint: Endpoint, body: bytes, content_type: str | None
) -> None:
    response = client.post(endpoint.path, data=body, content_type=content_type)

    expected = endpoint.answer(body, content_type)
    assert response.status_code == expected.status
    assert response.data == expected.body
    assert response.content_type == "application/json"


def test_root_page_lists_the_routes_as_text(client: Client) -> None:
    response = client.get("/")

    assert response.status_code == 200
    assert response.content_type == "text/plain; charset=utf-8"
    assert response.text == (
        "POST /plain    ready\n"
        "POST /a/predict  a_model  ready\n"
        "POST /b/predict  a_model  models/a_model.pkl: no such file\n"
    )


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/none", "/plain/", "/a", "/a/predict/x", "/openapi", "/v2/health", "/%2e%2e/x"]
)
def test_request_for_unknown_path_returns_404(client: Client, method: str, path: str) -> None:
    response = client.open(path, method=method)

    decoded_path = path.replace("%2e", ".")
    assert response.status_code == 404
    assert error_in(response) == {
        "code": "not_found",
        "message": f"{method} {decoded_path}: Not Found; / lists the routes",
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
def test_request_with_wrong_method_returns_405_with_allow(
    client: Client, method: str, path: str, allowed: str
) -> None:
    response = client.open(path, method=method)

    assert response.status_code == 405
    assert allowed in response.headers["Allow"].split(", ")
    assert error_in(response) == {
        "code": "method_not_allowed",
        "message": f"{method} {path}: Method Not Allowed; / lists the routes",
        "path": None,
    }


@pytest.mark.parametrize("path", ["//plain", "/a//predict", "//", "///none"])
def test_path_with_doubled_slashes_returns_a_json_error(client: Client, path: str) -> None:
    response = client.post("/", environ_overrides={"PATH_INFO": path})

    assert response.status_code in (400, 404, 405)
    assert error_in(response)["code"]


def test_error_of_flask_alone_fails_the_check() -> None:
    bare = Flask("bare", static_folder=None).test_client()
    response = bare.get("/none")

    with pytest.raises(AssertionError):
        error_in(response)
