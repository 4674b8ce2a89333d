"""The OpenAPI document: the server's own pages as openapi.json has them, each route as its hook's schema says."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from runtime.endpoint import Endpoint

OWN = Path(__file__).with_suffix(".json")


def document(endpoints: Iterable[Endpoint], guarded: bool) -> dict[str, Any]:
    """OpenAPI 3.1 of a server with these routes; `guarded`: it wants a key."""
    whole: dict[str, Any] = json.loads(OWN.read_text())
    if guarded:
        whole["security"] = [{"key": []}]
    template = json.dumps(whole.pop("x-route"))
    whole["paths"].update(
        {endpoint.path: route(json.loads(template), endpoint) for endpoint in endpoints}
    )
    return whole


def route(made: dict[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """The template filled in for a route; without a schema of the hook's any JSON goes in and out."""
    post, schema = made["post"], getattr(endpoint.hook, "schema", {})
    post |= {
        "operationId": endpoint.path[1:],
        "summary": f"Predictions of {endpoint.info.get('model', endpoint.path)}",
    }
    request, reply = (
        body["content"]["application/json"]
        for body in (post["requestBody"], post["responses"]["200"])
    )
    request["schema"]["properties"]["payload"] = schema.get("request", {})
    request["examples"] = {
        name: {"value": {"payload": shown}} for name, shown in schema.get("examples", {}).items()
    }
    reply["schema"]["properties"]["payload"] = schema.get("reply", {})
    return made
