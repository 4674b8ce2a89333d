"""The OpenAPI document of the server.

openapi.json describes the server's pages; the hook of each route describes the route.
"""

import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from runtime.endpoint import Endpoint

TEMPLATE = Path(__file__).with_suffix(".json")


def openapi_document(endpoints: Iterable[Endpoint], has_keys: bool) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a server with these routes.

    With `has_keys`, the document states that the server requires an API key.
    """
    document: dict[str, Any] = json.loads(TEMPLATE.read_text())
    route_template = document.pop("x-route")
    if has_keys:
        document["security"] = [{"key": []}]
    for endpoint in endpoints:
        document["paths"][endpoint.path] = route_item(route_template, endpoint)
    return document


def route_item(template: dict[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """Return the path item of a route.

    Payloads are any JSON if the hook of the route has no schema.
    """
    # Not isinstance(hook, DescribedHook): on Python 3.11 it computes every member of the hook.
    schema = getattr(endpoint.hook, "schema", {})

    item = copy.deepcopy(template)
    post = item["post"]
    post["operationId"] = endpoint.path[1:]
    post["summary"] = f"Predictions of {endpoint.info.get('model', endpoint.path)}"

    request = post["requestBody"]["content"]["application/json"]
    request["schema"]["properties"]["payload"] = schema.get("request", {})
    request["examples"] = {
        name: {"value": {"payload": payload}}
        for name, payload in schema.get("examples", {}).items()
    }

    reply = post["responses"]["200"]["content"]["application/json"]
    reply["schema"]["properties"]["payload"] = schema.get("reply", {})
    return item
