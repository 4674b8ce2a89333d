"""JSON schemas of what a model takes and answers, from the schema in its file: for the server's OpenAPI document."""

from typing import Any

from utils.table_encoder import FLOAT32_MAX


def schemas(schema: dict[str, Any], golden: dict[str, Any], ignore_unknown: bool) -> dict[str, Any]:
    """`request` and `reply`: the schemas of both payloads; `examples`: payloads of one golden row, by name."""
    columns = {column["name"]: _column(column, ignore_unknown) for column in schema["columns"]}
    in_order = {
        "type": "array",
        "prefixItems": list(columns.values()),
        "minItems": len(columns),
        "items": False,
    }
    by_name = _object(columns) | {"additionalProperties": False}
    row, classes = golden["instances"][0], {"enum": schema["classes"]}
    scores = _list({"type": "number"}) | {"minItems": len(schema["classes"])}
    return {
        "request": _object(
            {"instances": {"anyOf": [_list({"anyOf": [in_order, by_name]}), in_order]}}
        ),
        "reply": _object(
            {"predictions": _list(classes), "scores": _list(scores), "labels": _list(classes)}
        ),
        "examples": {
            "in order": {"instances": [row]},
            "by name": {"instances": [dict(zip(columns, row))]},
        },
    }


def _column(column: dict[str, Any], ignore_unknown: bool) -> dict[str, Any]:
    """A category is one that training saw; a number may lie outside of what it saw."""
    if column["kind"] == "category":
        return {"type": "string", **({} if ignore_unknown else {"enum": column["categories"]})}
    seen = f"{column['minimum']:g} to {column['maximum']:g} in training"
    return {"type": "number", "minimum": -FLOAT32_MAX, "maximum": FLOAT32_MAX, "description": seen}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}
