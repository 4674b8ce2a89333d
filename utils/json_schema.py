"""Describe a model's payloads as JSON schemas, for the OpenAPI document."""

from typing import Any

from utils.table.columns import FLOAT32_MAX


def schemas(schema: dict[str, Any], golden: dict[str, Any], ignore_unknown: bool) -> dict[str, Any]:
    """Return the schemas of a model's payloads, with examples.

    `schema` and `golden` are those of the model file. In the result, `request` and `reply` are JSON
    schemas, and `examples` are payloads of one golden row by name.
    """
    columns = {column["name"]: _column(column, ignore_unknown) for column in schema["columns"]}
    row = golden["instances"][0]
    return {
        "request": _request(columns),
        "reply": _reply(schema["classes"]),
        "examples": {
            "in order": {"instances": [row]},
            "by name": {"instances": [dict(zip(columns, row))]},
        },
    }


def _request(columns: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of instances: a list of rows, or one flat row."""
    in_order = {
        "type": "array",
        "prefixItems": list(columns.values()),
        "minItems": len(columns),
        "items": False,
    }
    by_name = _object(columns)
    by_name["additionalProperties"] = False

    rows = _list({"anyOf": [in_order, by_name]})
    return _object({"instances": {"anyOf": [rows, in_order]}})


def _reply(classes: list[Any]) -> dict[str, Any]:
    """Return the schema of predictions, scores and labels."""
    one_class = {"enum": classes}
    row_scores = _list({"type": "number"})
    row_scores["minItems"] = len(classes)
    return _object(
        {"predictions": _list(one_class), "scores": _list(row_scores), "labels": _list(one_class)}
    )


def _column(column: dict[str, Any], ignore_unknown: bool) -> dict[str, Any]:
    """Return the schema of a value of one column.

    Unless unknown categories are ignored, only the categories of the training data are valid. A
    number may be outside the range of the training data.
    """
    if column["kind"] == "category":
        if ignore_unknown:
            return {"type": "string"}
        return {"type": "string", "enum": column["categories"]}

    return {
        "type": "number",
        "minimum": -FLOAT32_MAX,
        "maximum": FLOAT32_MAX,
        "description": f"{column['minimum']:g} to {column['maximum']:g} in training",
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}
