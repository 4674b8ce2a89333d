"""Endpoints of the real models, without a server: valid rows, and malformed ones."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from runtime.endpoint import Endpoint
from runtime.errors import Response
from support import models
from support.models import MODEL_DIRS, example_body, instances_body, setting

from utils.serving import ServedModel

COLUMNS = 14
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


def lists_and_objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy of JSON lists and objects of `inner`."""
    lists = st.lists(inner, max_size=16)
    objects = st.dictionaries(st.text(max_size=5), inner, max_size=16)
    return lists | objects


ANY_JSON = st.recursive(VALUES, lists_and_objects)
ROW = st.lists(VALUES, min_size=COLUMNS, max_size=COLUMNS)
INSTANCES = st.lists(ROW | ANY_JSON, max_size=12) | ANY_JSON
CHANGES = st.lists(st.tuples(st.integers(0, COLUMNS - 1), VALUES), max_size=3)
ANY_BYTES = st.binary(max_size=200) | st.text(max_size=100).map(str.encode)
generated = settings(
    max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module", params=MODEL_DIRS)
def model(request: pytest.FixtureRequest) -> str:
    """The directory of a model."""
    directory: str = request.param
    return directory


@pytest.fixture(scope="module")
def endpoint(model: str, trained: Path) -> Endpoint:
    """The endpoint of the trained model."""
    served = ServedModel(setting(model, "MODEL_NAME"), str(trained / "models"))
    served.refresh()
    endpoint = Endpoint(model, lambda msg: served.current().answer(msg))
    endpoint.hook = served
    return endpoint


@pytest.fixture(scope="module")
def row(model: str) -> list[Any]:
    """A valid row of the model, in column order."""
    return models.list_row(model)


def payload_in(response: Response) -> dict[str, Any]:
    """Return the payload of a response."""
    payload: dict[str, Any] = json.loads(response.body)["payload"]
    return payload


def assert_no_server_error(endpoint: Endpoint, body: bytes) -> None:
    """Check that a body gets predictions, or an error with a code and a message."""
    response = endpoint.answer(body)

    if response.status == 200:
        payload = payload_in(response)
        assert len(payload["scores"]) == len(payload["predictions"])
        return

    document = json.loads(response.body)
    assert 400 <= response.status < 500, document
    assert document["error"]["code"]
    assert document["error"]["message"]


def test_endpoint_answers_the_test_instances_as_expected(model: str, endpoint: Endpoint) -> None:
    response = endpoint.answer(example_body(model))

    assert response.status == 200
    assert payload_in(response)["predictions"] == models.example(model)["expected"]


@generated
@given(body=ANY_BYTES)
def test_endpoint_survives_any_bytes(endpoint: Endpoint, body: bytes) -> None:
    assert_no_server_error(endpoint, body)
    assert_no_server_error(endpoint, b'{"payload":' + body + b"}")


@generated
@given(instances=INSTANCES, wrapped=st.booleans())
@example(instances=[[10**400] * COLUMNS] * 9, wrapped=True)
@example(instances=[[1e308] * COLUMNS], wrapped=True)
@example(instances=[], wrapped=True)
@example(instances=[[]], wrapped=True)
@example(instances=[{}] * 9, wrapped=True)
def test_endpoint_survives_any_json(endpoint: Endpoint, instances: Any, wrapped: bool) -> None:
    payload = {"instances": instances} if wrapped else instances

    assert_no_server_error(endpoint, json.dumps({"payload": payload}).encode())


@generated
@given(changes=CHANGES, valid_rows=st.integers(1, 12))
def test_endpoint_survives_a_malformed_row_among_valid_ones(
    endpoint: Endpoint, row: list[Any], changes: list[tuple[int, Any]], valid_rows: int
) -> None:
    changed = list(row)
    for column, value in changes:
        changed[column] = value

    assert_no_server_error(endpoint, instances_body([row] * valid_rows + [changed]))


def test_server_error_of_a_function_fails_the_check() -> None:
    endpoint = Endpoint("a", lambda msg: {"predictions": [1 / msg.payload]})

    with pytest.raises(AssertionError, match="internal_error"):
        assert_no_server_error(endpoint, b'{"payload": 0}')


def test_endpoint_answers_a_row_the_same_in_every_form(
    model: str, endpoint: Endpoint, row: list[Any]
) -> None:
    columns = list(models.object_row(model))
    by_name = dict(zip(columns, row))

    in_order = endpoint.answer(instances_body([row]))
    assert in_order.status == 200
    assert endpoint.answer(instances_body([by_name])) == in_order
    assert endpoint.answer(instances_body(row)) == in_order

    reversed_row = row[::-1]
    assert endpoint.answer(instances_body([reversed_row])).status == 422


def test_endpoint_answers_an_empty_batch(endpoint: Endpoint) -> None:
    response = endpoint.answer(instances_body([]))

    assert response.status == 200
    assert payload_in(response) == {"predictions": [], "scores": [], "labels": [0, 1]}


@pytest.mark.parametrize(
    "payload",
    ["{}", "1", "null", "[]", '{"instance": []}', '{"instances": {}}', '{"instances": 1}'],
)
def test_endpoint_returns_422_for_a_payload_without_instances(
    endpoint: Endpoint, payload: str
) -> None:
    response = endpoint.answer(f'{{"payload": {payload}}}'.encode())

    error = json.loads(response.body)["error"]
    assert response.status == 422
    assert list(error) == ["code", "message", "path"]
    assert error["code"] == "invalid_instances"
    assert error["path"] == "instances"
