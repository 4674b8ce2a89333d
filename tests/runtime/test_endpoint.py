"""One endpoint without a server: bytes of a request in, status and bytes out.

These tests cover every status of a predict route. The answers of real models are in
test_endpoint_models.py.
"""

import asyncio
import codecs
import datetime
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runtime.endpoint import Endpoint, load_endpoints
from runtime.environment import Route
from runtime.errors import RequestError, Response, error_response
from runtime.message import Message
from runtime.settings import ConfigurationError
from support.hooks import SampleHook

Error = dict[str, Any]

VALID_BODY = b'{"payload": 1}'
INTERNAL_ERROR = {
    "code": "internal_error",
    "message": "the predict function failed. See the server's log.",
    "path": None,
}


def endpoint_returning(answer: Any) -> Endpoint:
    """Return an endpoint whose function returns `answer`."""
    return Endpoint("a", lambda msg: answer)


def endpoint_raising(error: BaseException) -> Endpoint:
    """Return an endpoint whose function raises `error`."""

    def function(msg: Message) -> Any:
        raise error

    return Endpoint("a", function)


def endpoint_with_hook() -> Endpoint:
    """Return an endpoint whose hook has no model yet."""
    endpoint = endpoint_returning({})
    endpoint.hook = SampleHook()
    return endpoint


def status_and_error(response: Response) -> tuple[int, Error]:
    """Return the status and the error of a response; check that it has an error."""
    document = json.loads(response.body)
    assert list(document) == ["error"]
    error: Error = document["error"]
    assert list(error) == ["code", "message", "path"]
    return response.status, error


def assert_internal_error(response: Response) -> None:
    """Check that a response is a 500 without details."""
    status, error = status_and_error(response)
    assert status == 500
    assert error == INTERNAL_ERROR


MALFORMED = {
    "nothing": b"",
    "blanks": b" \n",
    "no JSON": b"payload=1",
    "NaN": b'{"payload": NaN}',
    "Infinity": b'{"payload": Infinity}',
    "-Infinity": b'{"payload": [-Infinity]}',
    "1e999": b'{"payload": 1e999}',
    "a very long integer": b'{"payload": ' + b"1" * 5_000 + b"}",
    "a byte order mark in the middle": VALID_BODY[:-1] + b"\xef\xbb\xbf}",
    "two byte order marks": b"\xef\xbb\xbf" * 2 + VALID_BODY,
    "100,000 byte order marks": b"\xef\xbb\xbf" * 100_000 + VALID_BODY,
    "UTF-16": VALID_BODY.decode().encode("utf-16"),
    "Latin-1": '{"payload": "é"}'.encode("latin-1"),
    "a lone surrogate": b'{"payload": "\\ud800"}',
    "surrogates the wrong way round": b'{"payload": "\\udc00\\ud800"}',
    "an encoded surrogate": b'{"payload": "\xed\xa0\x80"}',
    "lists 100,000 deep": b'{"payload": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "objects 100,000 deep": b'{"payload": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    "truncated": VALID_BODY[:-1],
    "truncated in a string": b'{"payload": "a',
    "two values": VALID_BODY + VALID_BODY,
    "a trailing comma": b'{"payload": [1,]}',
    "a comment": b'{"payload": 1} // one',
    "single quotes": b"{'payload': 1}",
    "a NUL": VALID_BODY + b"\0",
    "a control character": b'{"payload": "\x01"}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_endpoint_returns_400_for_a_body_that_is_not_json(body: bytes) -> None:
    status, error = status_and_error(endpoint_returning({}).answer(body))

    assert status == 400
    assert error["code"] == "malformed_json"
    assert error["path"] is None
    assert error["message"].startswith("the body is not JSON: ")
    assert len(error["message"]) < 200


def test_endpoint_names_an_empty_body() -> None:
    response = endpoint_returning({}).answer(b"")

    assert response.body == (
        b'{"error":{"code":"malformed_json",'
        b'"message":"the body is not JSON: an empty body","path":null}}'
    )


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"null", b"1", b'"payload"', b'[{"payload": 1}]', b'{"Payload": 1}']
)
def test_endpoint_returns_422_for_a_body_without_payload(body: bytes) -> None:
    status, error = status_and_error(endpoint_returning({}).answer(body))

    message = 'expected {"payload": ...}, found no payload'
    assert status == 422
    assert error == {"code": "invalid_body", "message": message, "path": "payload"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
@pytest.mark.parametrize("make", [bytes, bytearray])
def test_endpoint_ignores_a_byte_order_mark_of_utf_8(encoding: str, make: type) -> None:
    body = make('{"payload": "é"}'.encode(encoding))
    response = Endpoint("a", lambda msg: {"a": msg.payload}).answer(body)
    assert (response.status, response.body) == (200, '{"payload":{"a":"é"}}'.encode())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (codecs.BOM_UTF16_LE + VALID_BODY.decode().encode("utf-16-le"), "it is UTF-16"),
        (codecs.BOM_UTF16_BE + VALID_BODY.decode().encode("utf-16-be"), "it is UTF-16"),
        (codecs.BOM_UTF32_LE + VALID_BODY.decode().encode("utf-32-le"), "it is UTF-32"),
        (codecs.BOM_UTF32_BE + VALID_BODY.decode().encode("utf-32-be"), "it is UTF-32"),
        (gzip.compress(VALID_BODY, mtime=0), "it is compressed with gzip"),
    ],
)
def test_endpoint_names_the_form_of_a_body_that_is_not_utf_8(body: bytes, reason: str) -> None:
    status, error = status_and_error(endpoint_returning({}).answer(body))
    message = f"the body is not JSON: {reason}. Send JSON in UTF-8."
    assert (status, error["message"]) == (400, message)


@pytest.mark.parametrize("encoding", [b"", b"identity", b" Identity "])
def test_endpoint_accepts_a_body_without_compression(encoding: bytes) -> None:
    assert endpoint_returning({}).answer(VALID_BODY, None, encoding).status == 200


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "gzip, gzip", "none"])
def test_endpoint_returns_415_for_a_compressed_body(encoding: str) -> None:
    response = endpoint_returning({}).answer(VALID_BODY, None, encoding.encode())
    status, error = status_and_error(response)

    found = f"found a body with Content-Encoding {encoding!r}"
    message = f"{found}. Send the body without compression."
    assert status == 415
    assert error == {"code": "unsupported_media_type", "message": message, "path": None}


@pytest.mark.parametrize("charset", ["utf-16", "ISO-8859-1", "windows-1252", "klingon"])
@pytest.mark.parametrize("form", ["; charset={}", ';CHARSET="{}"', "; charset=utf-8; charset={}"])
def test_endpoint_returns_415_with_the_name_of_a_charset(charset: str, form: str) -> None:
    content_type = f"application/json{form.format(charset)}"
    status, error = status_and_error(endpoint_returning({}).answer(VALID_BODY, content_type))

    message = f"expected UTF-8, found charset {charset!r}. Send the body in UTF-8."
    assert status == 415
    assert error == {"code": "unsupported_media_type", "message": message, "path": None}


JSON_TYPES = [
    None,
    "",
    "application/json",
    "application/json; charset=utf-8",
    "Application/JSON;charset=UTF-8",
    'application/json; charset="utf8"',
    "application/json; charset=us-ascii",
    "application/json; charset=",
    "application/json; note=a-charset=utf-16",
    "application/json ; a=b",
    "application/vnd.api+json",
    "application/problem+json; charset=utf-8",
]
OTHER_TYPES = [
    # curl sends this content type by default.
    "application/x-www-form-urlencoded",
    "text/plain",
    "text/json",
    "application/jsonx",
    "application/xml",
    "multipart/form-data; boundary=application/json",
    "application/json, text/plain",
    "json",
    "*/*",
    "'",
]


@pytest.mark.parametrize("content_type", JSON_TYPES)
def test_endpoint_accepts_every_json_type_and_no_type(content_type: str | None) -> None:
    response = endpoint_returning({}).answer(VALID_BODY, content_type)

    assert response == Response(200, b'{"payload":{}}')


@pytest.mark.parametrize("content_type", OTHER_TYPES)
def test_endpoint_returns_415_with_curls_option_for_another_type(content_type: str) -> None:
    status, error = status_and_error(endpoint_returning({}).answer(VALID_BODY, content_type))

    found = f"expected JSON, found content type {content_type!r}"
    message = f"{found}. Send -H 'Content-Type: application/json'."
    assert status == 415
    assert error == {"code": "unsupported_media_type", "message": message, "path": None}


def test_endpoint_returns_503_until_its_model_is_loaded() -> None:
    endpoint = endpoint_with_hook()
    status, error = status_and_error(endpoint.answer(VALID_BODY))
    message = "the model is not loaded yet. Try again."
    assert status == 503
    assert error == {"code": "not_ready", "message": message, "path": None}

    endpoint.refresh()
    status, error = status_and_error(endpoint.answer(VALID_BODY))
    message = "models/a_model.pkl: no such file"
    assert status == 503
    assert error == {"code": "not_ready", "message": message, "path": None}

    endpoint.hook.ready = True
    endpoint.refresh()
    assert endpoint.answer(VALID_BODY).status == 200
    assert endpoint.problem is None


def test_endpoint_logs_the_same_problem_of_its_model_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    endpoint = endpoint_with_hook()
    endpoint.refresh()
    endpoint.refresh()

    assert capfd.readouterr().err == "predict: /a: models/a_model.pkl: no such file\n"


def test_endpoint_rejects_a_wrong_type_before_a_missing_model() -> None:
    endpoint = endpoint_with_hook()

    assert endpoint.answer(VALID_BODY, "text/plain").status == 415
    assert endpoint.answer(b"{").status == 503


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"status": 422, "code": "c", "path": "p"}, {"code": "c", "message": "m", "path": "p"}),
        ({"status": 409}, {"code": "error", "message": "m", "path": None}),
        (
            {"status": 503, "code": "model_unavailable"},
            {"code": "model_unavailable", "message": "m", "path": None},
        ),
        ({"status": 599}, {"code": "error", "message": "m", "path": None}),
        ({"status": 422, "path": Path("a")}, {"code": "error", "message": "m", "path": "a"}),
    ],
)
def test_endpoint_answers_with_an_exception_that_has_an_error_status(
    attributes: dict[str, Any], expected: Error
) -> None:
    exception = RuntimeError("m")
    vars(exception).update(attributes)
    status, error = status_and_error(endpoint_raising(exception).answer(VALID_BODY))

    assert status == attributes["status"]
    assert error == expected


@pytest.mark.parametrize(
    "attributes",
    [{"status": 200}, {"status": 600}, {"status": "422"}, {"status": None, "code": "c"}, {}],
)
def test_endpoint_returns_500_for_an_exception_without_an_error_status(
    attributes: dict[str, Any],
) -> None:
    exception = RuntimeError("m")
    vars(exception).update(attributes)

    assert_internal_error(endpoint_raising(exception).answer(VALID_BODY))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("the password is hunter2"),
        KeyError("hunter2"),
        RecursionError("hunter2"),
        MemoryError("hunter2"),
        FileNotFoundError(2, "hunter2", "/secret/hunter2"),
        UnicodeDecodeError("utf-8", b"hunter2", 0, 1, "hunter2"),
        SystemExit("hunter2"),
        KeyboardInterrupt("hunter2"),
        GeneratorExit("hunter2"),
        asyncio.CancelledError("hunter2"),
        BaseException("hunter2"),
        StopIteration("hunter2"),
        StopAsyncIteration("hunter2"),
        ExceptionGroup("hunter2", [ValueError("hunter2")]),
        BaseExceptionGroup("hunter2", [SystemExit("hunter2")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_endpoint_keeps_the_details_of_any_other_exception_for_the_log(
    error: BaseException,
) -> None:
    response = endpoint_raising(error).answer(VALID_BODY)

    assert_internal_error(response)
    assert "Traceback (most recent call last):\n" in response.traceback
    assert "in function" in response.traceback
    assert "hunter2" in response.traceback


class Wordless(Exception):
    """An error whose text, status and code cannot be read."""

    def __str__(self) -> str:
        raise SystemExit("no text")

    __repr__ = __str__


class Unreadable(Exception):
    """An error whose attributes raise another error."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("status", "code", "path"):
            raise KeyboardInterrupt(name)
        return super().__getattribute__(name)


class WordlessWithStatus(Wordless):
    """An error with a status and without a text."""

    status = 422


@pytest.mark.parametrize("kind", [Wordless, Unreadable, WordlessWithStatus])
def test_endpoint_returns_500_for_an_exception_that_cannot_be_read(
    kind: type[BaseException],
) -> None:
    response = endpoint_raising(kind()).answer(VALID_BODY)
    assert_internal_error(response)
    assert kind.__name__ in response.traceback


def test_endpoint_returns_500_for_endless_recursion() -> None:
    def function(msg: Message) -> Any:
        return function(msg)

    response = Endpoint("a", function).answer(VALID_BODY)
    assert_internal_error(response)
    assert "RecursionError" in response.traceback


def test_endpoint_escapes_an_error_text_that_json_cannot_hold() -> None:
    exception = RequestError(422, "c", "a lone surrogate: \ud800")
    status, error = status_and_error(endpoint_raising(exception).answer(VALID_BODY))

    assert status == 422
    assert error == {"code": "c", "message": r"a lone surrogate: \ud800", "path": None}


def test_reasons_of_routes_are_escaped_and_have_a_limited_length() -> None:
    reasons = {"/a": "a lone surrogate: \ud800", "/b": "x" * 1_512_935}
    body = error_response(RequestError(503, "not_ready", "m", routes=reasons)).body
    routes = json.loads(body)["error"]["routes"]
    assert routes["/a"] == r"a lone surrogate: \ud800"
    assert len(routes["/b"]) < 2_100


def repr_without_address(value: object) -> str:
    """Return a value's repr, equal in all processes of a run."""
    return re.sub(r" at 0x\w+", "", repr(value))


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [1],
        "text",
        1,
        b"bytes",
        np.array([1]),
        {"a": object()},
        {"a": len},
        {"a": 1j},
        {"a": "\ud800"},
        {"a": np.array([object()])},
        {(1, 2): 1},
    ],
    ids=repr_without_address,
)
def test_endpoint_returns_500_for_an_answer_that_json_cannot_hold(answer: Any) -> None:
    response = endpoint_returning(answer).answer(VALID_BODY)

    assert_internal_error(response)
    assert "Error: " in response.traceback


def test_endpoint_returns_500_for_an_answer_that_contains_itself() -> None:
    answer: dict[str, Any] = {}
    answer["a"] = answer

    assert_internal_error(endpoint_returning(answer).answer(VALID_BODY))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([0.5, 0.25], dtype=np.float32), [0.5, 0.25]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (pd.Series([1, 2]), [1, 2]),
        (pd.Series(["a", "b"]), ["a", "b"]),
        (pd.Index([1, 2]), [1, 2]),
        (pd.Categorical(["b", "a"]), ["b", "a"]),
        (pd.Series([0.1]).to_dict(), {"0": 0.1}),
        (pd.DataFrame({"a": [1, 2]}).to_dict("records"), [{"a": 1}, {"a": 2}]),
        ([np.int64(1), [np.float64(0.5)]], [1, [0.5]]),
        ((1, 2), [1, 2]),
        (datetime.date(2020, 1, 2), "2020-01-02"),
        (10**30, 10**30),
        ("é\u2028</script>", "é\u2028</script>"),
    ],
)
def test_endpoint_sends_values_of_numpy_and_pandas_as_json(value: Any, expected: Any) -> None:
    response = endpoint_returning({"a": value}).answer(VALID_BODY)

    assert response.status == 200
    assert json.loads(response.body) == {"payload": {"a": expected}}


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        ({"predictions": [0, 1]}, b'{"payload":{"predictions":[0,1]}}'),
        ({}, b'{"payload":{}}'),
        ({"payload": {"predictions": [0]}}, b'{"payload":{"predictions":[0]}}'),
        ({"payload": None, "other": 1}, b'{"payload":null,"other":1}'),
        ({"predictions": {"payload": 1}}, b'{"payload":{"predictions":{"payload":1}}}'),
    ],
)
def test_endpoint_wraps_an_answer_unless_it_has_a_payload(
    answer: dict[str, Any], body: bytes
) -> None:
    assert endpoint_returning(answer).answer(VALID_BODY) == Response(200, body)


def test_function_can_read_the_message_as_an_object_and_as_a_dict() -> None:
    def function(msg: Message) -> dict[str, Any]:
        readings = [
            msg.payload,
            msg["payload"],
            msg.get("payload"),
            msg["other"],
            msg.get("none", "default"),
        ]
        return {"read": readings}

    response = Endpoint("a", function).answer(b'{"payload": {"x": 1}, "other": 2}')

    assert response == Response(200, b'{"payload":{"read":[{"x":1},{"x":1},{"x":1},2,"default"]}}')


def test_message_without_payload_reads_as_none_or_raises() -> None:
    message = Message()

    assert message.payload is None
    with pytest.raises(KeyError):
        message["payload"]


MODULE = "def predict(msg):\n    return {}\n\nnumber = 1\n"


@pytest.mark.parametrize(
    ("source", "route", "expected"),
    [
        (MODULE, "x:found:none", "route x: found has no function none"),
        (MODULE, "x:found:number", "route x: found has no function number"),
        (
            MODULE,
            "x:lost:predict",
            "route x: importing lost failed: ModuleNotFoundError(\"No module named 'lost'\")",
        ),
        (
            "1 / 0\n",
            "x:found:predict",
            "route x: importing found failed: ZeroDivisionError('division by zero')",
        ),
        (
            "raise SystemExit(3)\n",
            "x:found:predict",
            "route x: importing found failed: SystemExit(3)",
        ),
    ],
)
def test_load_endpoints_names_the_route_whose_function_is_not_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, route: str, expected: str
) -> None:
    # Python imports a module once, so each test has a module name of its own.
    module = f"found_{tmp_path.name}"
    (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    parts = route.replace("found", module).split(":")

    with pytest.raises(ConfigurationError) as error:
        load_endpoints([Route(*parts)])

    assert str(error.value) == expected.replace("found", module)
