"""The OpenAPI document: it is valid and complete, and it matches the server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks
from support.model_server import model_server
from support.models import MODEL_DIRS, example
from support.server import PATHS, ROUTES, Server

# `echo` has no hook, and `wrong` answers differently from the schema of its hook.
FUNCTIONS = ("echo", "wrong")
PAGES = ["/", "/openapi.json", "/health", "/ready", "/metrics"]
KEY = "a-key-of-24-characters-1"
MODEL_PATH = PATHS[MODEL_DIRS[0]]
COLUMNS = 14
EXAMPLES = 15
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.positive_data_acceptance,
]
Document = dict[str, Any]


@pytest.fixture(scope="module")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of every model, and of FUNCTIONS."""
    with model_server(tmp_path_factory.mktemp("openapi"), trained, *FUNCTIONS) as server:
        yield server.wait_until_ready()


@pytest.fixture(scope="module")
def document(server: Server) -> Document:
    """The document as the server sends it."""
    response = server.get("/openapi.json")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    document: Document = response.json()
    return document


def errors_in(document: Document) -> list[str]:
    """Return the errors of a document that is not valid OpenAPI."""
    return [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()]


def request_content(document: Document, path: str) -> dict[str, Any]:
    """Return the schema and the examples of a route's requests."""
    operation = document["paths"][path]["post"]
    content: dict[str, Any] = operation["requestBody"]["content"]["application/json"]
    return content


def row_schemas(document: Document, path: str) -> list[dict[str, Any]]:
    """Return the schemas of a row in column order and of a row by column name."""
    payload = request_content(document, path)["schema"]["properties"]["payload"]
    list_of_rows = payload["properties"]["instances"]["anyOf"][0]
    schemas: list[dict[str, Any]] = list_of_rows["items"]["anyOf"]
    return schemas


def example_row(document: Document, path: str, name: str) -> Any:
    """Return the first row of an example of a route's requests."""
    body = request_content(document, path)["examples"][name]["value"]
    return body["payload"]["instances"][0]


def request_validator(document: Document, path: str) -> Draft202012Validator:
    """Return the validator of a route's requests."""
    return Draft202012Validator(request_content(document, path)["schema"])


def response_validator(document: Document, path: str) -> Draft202012Validator:
    """Return the validator of a route's predictions."""
    success = document["paths"][path]["post"]["responses"]["200"]
    return Draft202012Validator(success["content"]["application/json"]["schema"])


def test_document_is_valid_openapi(document: Document) -> None:
    assert errors_in(document) == []

    broken = {**document, "info": {}}
    assert errors_in(broken) != []


def test_document_has_every_route_and_every_page(server: Server, document: Document) -> None:
    functions = [f"/{name}" for name in FUNCTIONS]
    assert sorted(document["paths"]) == sorted([*PATHS.values(), *functions, *PAGES])

    for page in PAGES:
        response = server.get(page)
        content_types = list(document["paths"][page]["get"]["responses"]["200"]["content"])
        assert response.status_code == 200
        assert content_types == [response.headers["Content-Type"].partition(";")[0]]


@pytest.mark.parametrize("model", MODEL_DIRS)
def test_server_answers_the_examples_as_documented(
    server: Server, document: Document, model: str
) -> None:
    path = PATHS[model]
    examples = request_content(document, path)["examples"]
    assert sorted(examples) == ["by name", "in order"]

    answers = []
    for request in examples.values():
        body = request["value"]
        request_validator(document, path).validate(body)
        answer = server.post(path, json.dumps(body).encode()).json()
        response_validator(document, path).validate(answer)
        answers.append(answer)

    assert len(answers[0]["payload"]["predictions"]) == 1
    assert answers[0] == answers[1]


@pytest.mark.parametrize("model", MODEL_DIRS)
def test_server_answers_a_row_written_with_the_documented_columns(
    server: Server, document: Document, model: str
) -> None:
    path = PATHS[model]
    schemas = row_schemas(document, path)
    columns = schemas[1]["properties"]

    sample = example(model)
    first_row = sample["payload"]["instances"][0]
    values = list(first_row.values()) if isinstance(first_row, dict) else first_row

    for row in (values, dict(zip(columns, values))):
        Draft202012Validator({"anyOf": schemas}).validate(row)
        answer = server.predict(path, [row]).json()
        response_validator(document, path).validate(answer)
        assert answer["payload"]["predictions"] == sample["expected"][:1]


def test_validator_rejects_an_answer_that_differs_from_its_schema(
    server: Server, document: Document
) -> None:
    answer = server.post("/wrong", b'{"payload": 1}').json()

    with pytest.raises(ValidationError):
        response_validator(document, "/wrong").validate(answer)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)
ROW_FORMS = st.sampled_from(["by name", "in order", "flat"])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(column=st.integers(0, COLUMNS - 1), value=VALUES, form=ROW_FORMS)
def test_server_accepts_exactly_what_the_schema_accepts(
    server: Server, document: Document, column: int, value: Any, form: str
) -> None:
    columns = list(example_row(document, MODEL_PATH, "by name"))
    row = list(example_row(document, MODEL_PATH, "in order"))
    row[column] = value
    instances = {"by name": [dict(zip(columns, row))], "in order": [row], "flat": row}[form]

    response = server.predict(MODEL_PATH, instances)

    body = {"payload": {"instances": instances}}
    is_valid = request_validator(document, MODEL_PATH).is_valid(body)
    assert response.status_code == (200 if is_valid else 422)


def test_document_of_a_server_with_keys_names_the_security_scheme(
    trained: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    with Server(trained, ROUTES[MODEL_DIRS[0]], API_KEY_FILE=str(keys)) as server:
        server.wait_until_ready()
        document = server.get("/openapi.json", {"Authorization": f"Bearer {KEY}"}).json()

    assert document["security"] == [{"key": []}]
    assert document["components"]["securitySchemes"] == {
        "key": {"type": "http", "scheme": "bearer"}
    }
    assert errors_in(document) == []


def send_generated_requests(
    server: Server, document: Document, path: str, mode: GenerationMode
) -> int:
    """Let schemathesis send requests to a route, and return how many it sent.

    It checks each response against the document.
    """
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=server.url)
    requests = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        derandomize=True,
        database=None,
    )
    @given(case=schema[path]["POST"].as_strategy(generation_mode=mode))
    def send(case: schemathesis.Case) -> None:
        nonlocal requests
        requests += 1
        case.call_and_validate(checks=CHECKS)

    send()
    return requests


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("path", [*PATHS.values(), "/echo"])
def test_schemathesis_finds_no_fault(
    server: Server, document: Document, path: str, mode: GenerationMode
) -> None:
    assert send_generated_requests(server, document, path, mode) >= EXAMPLES


def test_schemathesis_finds_a_wrong_schema(server: Server, document: Document) -> None:
    with pytest.raises(FailureGroup):
        send_generated_requests(server, document, "/wrong", GenerationMode.POSITIVE)
