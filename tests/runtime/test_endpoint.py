"""One endpoint without a server: the bytes of a request in, status and bytes out. The whole status policy."""

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import MODEL_DIRS, ROOT, setting
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from runtime.endpoint import Endpoint, load_endpoints
from runtime.errors import RequestError, Response
from runtime.environment import ConfigurationError, Route
from runtime.message import Message

from utils.serving import ServedModel

GOOD = b'{"payload": 1}'
INTERNAL = (
    500,
    {
        "code": "internal_error",
        "message": "the predict function failed; see the server's log",
        "path": None,
    },
)


def answering(answer: Any) -> Endpoint:
    """An endpoint whose function returns `answer`."""
    return Endpoint("a", lambda msg: answer)


def raising(error: BaseException) -> Endpoint:
    """An endpoint whose function raises `error`."""

    def function(msg: Message) -> Any:
        raise error

    return Endpoint("a", function)


def problem(
    endpoint: Endpoint, body: bytes = GOOD, content_type: str | None = None
) -> tuple[int, dict[str, Any]]:
    """Status and error of an answer."""
    response = endpoint.answer(body, content_type)
    answer = json.loads(response.body)
    assert list(answer) == ["error"] and list(answer["error"]) == ["code", "message", "path"]
    return response.status, answer["error"]


MALFORMED = {
    "nothing": b"",
    "blanks": b" \n",
    "no JSON": b"payload=1",
    "NaN": b'{"payload": NaN}',
    "Infinity": b'{"payload": Infinity}',
    "-Infinity": b'{"payload": [-Infinity]}',
    "1e999": b'{"payload": 1e999}',
    "a very long integer": b'{"payload": ' + b"1" * 5_000 + b"}",
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "Latin-1": '{"payload": "é"}'.encode("latin-1"),
    "a lone surrogate": b'{"payload": "\\ud800"}',
    "surrogates the wrong way round": b'{"payload": "\\udc00\\ud800"}',
    "an encoded surrogate": b'{"payload": "\xed\xa0\x80"}',
    "lists 100,000 deep": b'{"payload": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "objects 100,000 deep": b'{"payload": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    "truncated": GOOD[:-1],
    "truncated in a string": b'{"payload": "a',
    "two values": GOOD + GOOD,
    "a trailing comma": b'{"payload": [1,]}',
    "a comment": b'{"payload": 1} // one',
    "single quotes": b"{'payload': 1}",
    "a NUL": GOOD + b"\0",
    "a control character": b'{"payload": "\x01"}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_body_that_is_not_json_is_a_400(body: bytes) -> None:
    status, error = problem(answering({}), body)
    assert (status, error["code"], error["path"]) == (400, "malformed_json", None)
    assert error["message"].startswith("the body is not JSON: ") and len(error["message"]) < 200


def test_an_empty_body_is_called_so() -> None:
    assert answering({}).answer(b"").body == (
        b'{"error":{"code":"malformed_json","message":"the body is not JSON: an empty body","path":null}}'
    )


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"null", b"1", b'"payload"', b'[{"payload": 1}]', b'{"Payload": 1}']
)
def test_a_body_without_payload_is_a_422(body: bytes) -> None:
    message = 'expected {"payload": ...}, found no payload'
    assert problem(answering({}), body) == (
        422,
        {"code": "invalid_body", "message": message, "path": "payload"},
    )


JSON_TYPES = [
    None,
    "",
    "application/json",
    "application/json; charset=utf-8",
    "Application/JSON;charset=UTF-8",
    "application/json ; a=b",
    "application/vnd.api+json",
    "application/problem+json; charset=utf-8",
]
OTHER_TYPES = [
    "application/x-www-form-urlencoded",  # curl's, when it isn't told another
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
def test_json_by_any_name_and_no_content_type_are_read(content_type: str | None) -> None:
    assert answering({}).answer(GOOD, content_type) == Response(200, b'{"payload":{}}')


@pytest.mark.parametrize("content_type", OTHER_TYPES)
def test_another_content_type_is_a_415_that_shows_curls_option(content_type: str) -> None:
    message = f"expected JSON, found content type {content_type!r}: send -H 'Content-Type: application/json'"
    expected = {"code": "unsupported_media_type", "message": message, "path": None}
    assert problem(answering({}), GOOD, content_type) == (415, expected)


class Waiting:
    """A hook whose model isn't there until `ready` is set."""

    ready = False
    quick_bytes = 0
    info: dict[str, str] = {}

    def refresh(self) -> None:
        if not self.ready:
            raise RuntimeError("models/a.pkl: no such file")


def hooked() -> Endpoint:
    """An endpoint whose model isn't there yet."""
    endpoint = answering({})
    endpoint.hook = Waiting()
    return endpoint


def test_a_model_that_is_not_there_is_a_503_with_the_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    endpoint = hooked()
    waiting = "the model is not loaded yet; try again"
    assert problem(endpoint) == (503, {"code": "not_ready", "message": waiting, "path": None})
    endpoint.refresh()
    endpoint.refresh()
    assert problem(endpoint) == (
        503,
        {"code": "not_ready", "message": "models/a.pkl: no such file", "path": None},
    )
    assert [record.getMessage() for record in caplog.records] == ["/a: models/a.pkl: no such file"]
    endpoint.hook.ready = True
    endpoint.refresh()
    assert endpoint.answer(GOOD).status == 200 and endpoint.problem is None


def test_a_wrong_content_type_is_told_before_a_model_that_is_not_ready() -> None:
    assert problem(hooked(), GOOD, "text/plain")[0] == 415
    assert problem(hooked(), b"{")[0] == 503


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (
            {"status": 422, "code": "c", "path": "p"},
            (422, {"code": "c", "message": "m", "path": "p"}),
        ),
        ({"status": 409}, (409, {"code": "error", "message": "m", "path": None})),
        (
            {"status": 503, "code": "model_unavailable"},
            (503, {"code": "model_unavailable", "message": "m", "path": None}),
        ),
        ({"status": 599}, (599, {"code": "error", "message": "m", "path": None})),
        ({"status": 422, "path": Path("a")}, (422, {"code": "error", "message": "m", "path": "a"})),
        ({"status": 200}, INTERNAL),
        ({"status": 600}, INTERNAL),
        ({"status": "422"}, INTERNAL),
        ({"status": None, "code": "c"}, INTERNAL),
        ({}, INTERNAL),
    ],
)
def test_an_exception_with_a_status_is_the_answer(
    attributes: dict[str, Any], expected: tuple[int, Any]
) -> None:
    error = RuntimeError("m")
    vars(error).update(attributes)
    assert problem(raising(error)) == expected


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
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_other_exception_is_a_500_that_tells_the_log_alone(error: BaseException) -> None:
    endpoint = raising(error)
    assert problem(endpoint) == INTERNAL
    trace = endpoint.answer(GOOD).traceback
    assert trace.startswith("Traceback (most recent call last):\n")
    assert "in function" in trace and "hunter2" in trace


def test_an_exception_whose_text_cannot_be_sent_is_an_answer_still() -> None:
    error = RequestError(422, "c", "a lone surrogate: \ud800")
    assert problem(raising(error))[0] in (422, 500)


@pytest.mark.parametrize(
    "answer",
    [None, [1], "text", 1, b"bytes", np.array([1]), {"a": object()}, {"a": len}, {"a": 1j}, {"a": "\ud800"},
     {"a": np.array([object()])}, {(1, 2): 1}],
    ids=repr,
)  # fmt: skip
def test_an_answer_that_is_no_dict_or_not_json_is_a_500(answer: Any) -> None:
    endpoint = answering(answer)
    assert problem(endpoint) == INTERNAL
    assert "Error: " in endpoint.answer(GOOD).traceback


def test_an_answer_that_holds_itself_is_a_500() -> None:
    answer: dict[str, Any] = {}
    answer["a"] = answer
    assert problem(answering(answer)) == INTERNAL


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
)  # fmt: skip
def test_numpys_and_pandas_values_are_sent_as_jsons(value: Any, expected: Any) -> None:
    status, body, *_ = answering({"a": value}).answer(GOOD)
    assert (status, json.loads(body)) == (200, {"payload": {"a": expected}})


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
def test_an_answer_is_wrapped_unless_it_has_a_payload(answer: dict[str, Any], body: bytes) -> None:
    assert answering(answer).answer(GOOD) == Response(200, body)


def test_the_message_reads_as_an_object_and_as_a_dict() -> None:
    def function(msg: Message) -> dict[str, Any]:
        return {
            "read": [
                msg.payload,
                msg["payload"],
                msg.get("payload"),
                msg["other"],
                msg.get("none", "default"),
            ]
        }

    response = Endpoint("a", function).answer(b'{"payload": {"x": 1}, "other": 2}')
    assert response == Response(200, b'{"payload":{"read":[{"x":1},{"x":1},{"x":1},2,"default"]}}')
    assert Message().payload is None
    with pytest.raises(KeyError):
        Message()["payload"]


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
def test_a_route_whose_function_cannot_be_had_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, route: str, expected: str
) -> None:
    name = f"found_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError) as refusal:
        load_endpoints([Route(*route.replace("found", name).split(":"))])
    assert str(refusal.value) == expected.replace("found", name)


@pytest.fixture(scope="module", params=MODEL_DIRS)
def model(request: pytest.FixtureRequest, trained: Path) -> Endpoint:
    """The endpoint of one trained model."""
    served = ServedModel(setting(request.param, "MODEL_NAME"), str(trained / "models"))
    served.refresh()
    endpoint = Endpoint(request.param, lambda msg: served.current().answer(msg))
    endpoint.hook = served
    return endpoint


def test_a_models_own_instances_are_answered_with_what_is_expected(model: Endpoint) -> None:
    body = (ROOT / model.path[1:] / "test" / "test_instances.json").read_bytes()
    status, answer, *_ = model.answer(body)
    assert (status, json.loads(answer)["payload"]["predictions"]) == (
        200,
        json.loads(body)["expected"],
    )


CATEGORIES = [
    "workclass_Private",
    "education_HS-grad",
    "race_White",
    "gender_Male",
    "native-country_United-States",
]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(CATEGORIES),
)
ANY_JSON = st.recursive(
    VALUES,
    lambda inner: (
        st.lists(inner, max_size=16) | st.dictionaries(st.text(max_size=5), inner, max_size=16)
    ),
)
ROW = st.lists(VALUES, min_size=14, max_size=14)
INSTANCES = st.lists(ROW | ANY_JSON, max_size=12) | ANY_JSON
QUICK = settings(
    max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


def no_server_error(model: Endpoint, body: bytes) -> None:
    """Asserts that an answer is JSON, and a prediction for each instance or an error that names code and message."""
    status, answer, *_ = model.answer(body)
    answer = json.loads(answer)
    if status == 200:
        assert len(answer["payload"]["scores"]) == len(answer["payload"]["predictions"])
        return
    assert 400 <= status < 500, answer
    assert answer["error"]["code"] and answer["error"]["message"]


@QUICK
@given(body=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_bytes_make_a_model_fail(model: Endpoint, body: bytes) -> None:
    no_server_error(model, body)
    no_server_error(model, b'{"payload":' + body + b"}")


@QUICK
@given(instances=INSTANCES, wrapped=st.booleans())
@example(instances=[[10**400] * 14] * 9, wrapped=True)
@example(instances=[[1e308] * 14], wrapped=True)
@example(instances=[], wrapped=True)
@example(instances=[[]], wrapped=True)
@example(instances=[{}] * 9, wrapped=True)
def test_no_json_makes_a_model_fail(model: Endpoint, instances: Any, wrapped: bool) -> None:
    payload = {"instances": instances} if wrapped else instances
    no_server_error(model, json.dumps({"payload": payload}).encode())


@pytest.fixture(scope="module")
def rows(model: Endpoint) -> list[Any]:
    """The model's test instances."""
    return json.loads((ROOT / model.path[1:] / "test" / "test_instances.json").read_bytes())[
        "payload"
    ]["instances"]


@pytest.fixture(scope="module")
def row(rows: list[Any]) -> list[Any]:
    """A good row, as a list."""
    return next(row for row in rows if isinstance(row, list))


@QUICK
@given(st.lists(st.tuples(st.integers(0, 13), VALUES), max_size=3), st.integers(1, 12))
def test_no_spoilt_row_makes_a_model_fail(
    model: Endpoint, row: list[Any], changes: list[tuple[int, Any]], times: int
) -> None:
    changed = list(row)
    for place, value in changes:
        changed[place] = value
    no_server_error(
        model, json.dumps({"payload": {"instances": [row] * times + [changed]}}).encode()
    )


def test_a_model_that_trips_over_its_input_is_seen_by_the_check() -> None:
    with pytest.raises(AssertionError, match="internal_error"):
        no_server_error(
            Endpoint("a", lambda msg: {"predictions": [1 / msg.payload]}), b'{"payload": 0}'
        )


def test_one_model_answers_rows_as_lists_and_as_objects_alike(
    model: Endpoint, rows: list[Any], row: list[Any]
) -> None:
    columns = next(list(row) for row in rows if isinstance(row, dict))
    bodies = [
        json.dumps({"payload": {"instances": rows}}).encode()
        for rows in ([row], [dict(zip(columns, row))], row)
    ]
    first, *others = [model.answer(body) for body in bodies]
    assert first.status == 200 and others == [first, first]
    assert model.answer(json.dumps({"payload": {"instances": [row[::-1]]}}).encode()).status == 422


def test_an_empty_batch_is_answered(model: Endpoint) -> None:
    status, body, *_ = model.answer(b'{"payload": {"instances": []}}')
    assert (status, json.loads(body)["payload"]) == (
        200,
        {"predictions": [], "scores": [], "labels": [0, 1]},
    )


@pytest.mark.parametrize(
    "payload",
    ["{}", "1", "null", "[]", '{"instance": []}', '{"instances": {}}', '{"instances": 1}'],
)
def test_a_payload_without_instances_is_a_422(model: Endpoint, payload: str) -> None:
    status, error = problem(model, f'{{"payload": {payload}}}'.encode())
    assert (status, error["code"], error["path"]) == (422, "invalid_instances", "instances")
