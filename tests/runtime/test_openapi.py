"""The OpenAPI document: valid, enough to make a request from, and true: the server takes and answers what it says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from conftest import MODEL_DIRS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks
from support.daemon import JSON, PATHS, ROUTES, Daemon, instances

APPLICATION = """
def echo(msg):
    return {"echo": msg.payload}

def wrong(msg):
    return {"predictions": "none"}

class Hook:
    ready, quick_bytes, info = True, 0, {}
    schema = {"request": {"type": "number"}, "reply": {"properties": {"predictions": {"type": "array"}}}}

    def refresh(self):
        pass

wrong.hook = Hook()
"""
EXAMPLES = 15


@pytest.fixture(scope="module")
def daemon(trained: Path) -> Iterator[Daemon]:
    """A daemon with every model, a function without a hook, and one whose schemas are wrong."""
    (trained / "app.py").write_text(APPLICATION)
    with Daemon(
        trained, ",".join([*ROUTES.values(), "echo:app:echo", "wrong:app:wrong"])
    ) as running:
        yield running.ready()


@pytest.fixture(scope="module")
def document(daemon: Daemon) -> dict[str, Any]:
    """The document as it is served."""
    answer = daemon.ask("GET", "/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    return answer.json


def body(document: dict[str, Any], path: str) -> dict[str, Any]:
    """What the document says of a route's request."""
    return document["paths"][path]["post"]["requestBody"]["content"]["application/json"]


def reply(document: dict[str, Any], path: str) -> Draft202012Validator:
    """What checks a route's answer."""
    return Draft202012Validator(
        document["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    )


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    broken = {**document, "info": {}}
    assert list(OpenAPIV31SpecValidator(broken).iter_errors()) != []


def test_it_has_every_route_and_every_page(daemon: Daemon, document: dict[str, Any]) -> None:
    own = ["/", "/openapi.json", "/health", "/ready", "/metrics"]
    assert sorted(document["paths"]) == sorted([*PATHS.values(), "/echo", "/wrong", *own])
    for page in own:
        answer = daemon.ask("GET", page)
        (kind,) = document["paths"][page]["get"]["responses"]["200"]["content"]
        assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, kind)


@pytest.mark.parametrize("model", MODEL_DIRS)
def test_a_request_made_from_the_document_is_answered_as_it_says(
    daemon: Daemon, document: dict[str, Any], model: str
) -> None:
    examples = body(document, PATHS[model])["examples"]
    assert sorted(examples) == ["by name", "in order"]
    answers = []
    for example in examples.values():
        Draft202012Validator(body(document, PATHS[model])["schema"]).validate(example["value"])
        answer = daemon.ask("POST", PATHS[model], json.dumps(example["value"]).encode())
        reply(document, PATHS[model]).validate(answer.json)
        answers.append(answer.json)
    assert answers[0] == answers[1] and len(answers[0]["payload"]["predictions"]) == 1


@pytest.mark.parametrize("model", MODEL_DIRS)
def test_the_first_test_row_can_be_put_together_by_the_documents_columns(
    daemon: Daemon, document: dict[str, Any], model: str
) -> None:
    case = json.loads(instances(model))
    row = case["payload"]["instances"][0]
    in_order, by_name = body(document, PATHS[model])["schema"]["properties"]["payload"]["properties"]["instances"][
        "anyOf"][0]["items"]["anyOf"]  # fmt: skip
    values = list(row.values()) if isinstance(row, dict) else row
    for made in (values, dict(zip(by_name["properties"], values))):
        Draft202012Validator({"anyOf": [in_order, by_name]}).validate(made)
        answer = daemon.ask(
            "POST", PATHS[model], json.dumps({"payload": {"instances": [made]}}).encode()
        )
        reply(document, PATHS[model]).validate(answer.json)
        assert answer.json["payload"]["predictions"] == case["expected"][:1]


def test_an_answer_that_differs_from_its_schema_is_noticed(
    daemon: Daemon, document: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        reply(document, "/wrong").validate(daemon.ask("POST", "/wrong", b'{"payload": 1}').json)


def rows(document: dict[str, Any], path: str) -> Draft202012Validator:
    """What checks a route's request."""
    return Draft202012Validator(body(document, path)["schema"])


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(column=st.integers(0, 13), value=VALUES, by_name=st.booleans(), flat=st.booleans())
def test_the_server_takes_what_the_schema_takes_and_no_more(
    daemon: Daemon, document: dict[str, Any], column: int, value: Any, by_name: bool, flat: bool
) -> None:
    path = PATHS[MODEL_DIRS[0]]
    row = list(body(document, path)["examples"]["in order"]["value"]["payload"]["instances"][0])
    names = list(body(document, path)["examples"]["by name"]["value"]["payload"]["instances"][0])
    row[column] = value
    made = row if flat else [dict(zip(names, row)) if by_name else row]
    sent = {"payload": {"instances": made}}
    status = daemon.ask("POST", path, json.dumps(sent).encode()).status
    assert status == (200 if rows(document, path).is_valid(sent) else 422)


def test_a_document_of_a_server_with_keys_says_so(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a-key-of-24-characters-1")
    with Daemon(trained, ROUTES[MODEL_DIRS[0]], API_KEY_FILE=str(tmp_path / "keys")) as daemon:
        sent = {**JSON, "Authorization": "Bearer a-key-of-24-characters-1"}
        found = daemon.ready().ask("GET", "/openapi.json", headers=sent).json
    assert found["security"] == [{"key": []}]
    assert found["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []


def tried(daemon: Daemon, document: dict[str, Any], path: str, mode: GenerationMode) -> int:
    """Lets schemathesis make requests to a route from the document, and checks each answer; how many there were."""
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=f"http://127.0.0.1:{daemon.port}")
    count = 0

    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate],
        derandomize=True, database=None,
    )  # fmt: skip
    @given(case=schema[path]["POST"].as_strategy(generation_mode=mode))
    def run(case: schemathesis.Case) -> None:
        nonlocal count
        count += 1
        case.call_and_validate(checks=[
            not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
            checks.response_schema_conformance, checks.negative_data_rejection, checks.positive_data_acceptance,
        ])  # fmt: skip

    run()
    return count


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("path", [*PATHS.values(), "/echo"])
def test_schemathesis_finds_nothing(
    daemon: Daemon, document: dict[str, Any], path: str, mode: GenerationMode
) -> None:
    assert tried(daemon, document, path, mode) >= EXAMPLES


def test_schemathesis_finds_a_wrong_schema(daemon: Daemon, document: dict[str, Any]) -> None:
    with pytest.raises(FailureGroup):
        tried(daemon, document, "/wrong", GenerationMode.POSITIVE)
