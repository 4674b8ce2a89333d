"""The OpenAPI document: the server's own pages as openapi.json has them, each route as its hook's schema says."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from runtime.handler import Endpoint

OWN = Path(__file__).with_suffix(".json")
STATUSES = ("400", "401", "408", "413", "415", "422", "500", "503")


def document(endpoints: Iterable[Endpoint], guarded: bool) -> dict[str, Any]:
    """OpenAPI 3.1 of a server with these routes; `guarded`: it wants a key."""
    whole: dict[str, Any] = json.loads(OWN.read_text())
    if guarded:
        whole["security"] = [{"key": []}]
    whole["paths"].update({endpoint.path: {"post": operation(endpoint)} for endpoint in endpoints})
    return whole


def operation(endpoint: Endpoint) -> dict[str, Any]:
    """A route's POST; without a schema of the hook's any JSON goes in and out."""
    schema = endpoint.schema
    answers = {status: {"$ref": "#/components/responses/Error"} for status in STATUSES}
    return {
        "operationId": endpoint.path[1:],
        "summary": f"Predictions of {endpoint.info.get('model', endpoint.path)}",
        "requestBody": {"required": True, "content": content(schema.get("request", {}), schema.get("examples", {}))},
        "responses": {"200": {"description": "Answered", "content": content(schema.get("reply", {}), {})}, **answers},
    }


def content(schema: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    """A body that has what `schema` says as its payload; `examples`: payloads by name."""
    body = {"type": "object", "required": ["payload"], "properties": {"payload": schema}}
    shown = {name: {"value": {"payload": payload}} for name, payload in examples.items()}
    return {"application/json": {"schema": body, **({"examples": shown} if shown else {})}}
