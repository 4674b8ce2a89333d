"""Describe a model's payloads as JSON schemas, for the OpenAPI document."""

from typing import Any

from utils.table.categories import Category
from utils.table.columns import FLOAT32_MAX
from utils.table.encoder import TableEncoder

# A longer list of categories is not part of the schema.
MAX_CATEGORIES = 1000


def schemas(
    schema: dict[str, Any], golden: dict[str, Any], encoder: TableEncoder
) -> dict[str, Any]:
    """Return the schemas of a model's payloads, with examples.

    `schema` and `golden` are those of the model file. `encoder` decides which values are valid. In
    the result, `request` and `reply` are JSON schemas, and `examples` are payloads of one golden
    row by name.
    """
    columns = {
        described["name"]: _value(described, column)
        for described, column in zip(schema["columns"], encoder.columns)
    }
    optional = {column.name for column in encoder.columns if column.accepts_missing}
    row = golden["instances"][0]
    return {
        "request": _request(columns, optional, encoder.ignored),
        "reply": _reply(schema),
        "examples": {
            "in order": {"instances": [row]},
            "by name": {"instances": [dict(zip(columns, row))]},
        },
    }


def _request(columns: dict[str, Any], optional: set[str], ignored: list[str]) -> dict[str, Any]:
    """Return the schema of instances: a list of rows, or one flat row."""
    in_order = {
        "type": "array",
        "prefixItems": list(columns.values()),
        "minItems": len(columns),
        "items": False,
    }
    by_name = _object(columns)
    by_name["required"] = [name for name in columns if name not in optional]
    by_name["properties"] = {**columns, **{name: {} for name in ignored}}
    by_name["additionalProperties"] = False

    rows = _list({"anyOf": [in_order, by_name]})
    return _object({"instances": {"anyOf": [rows, in_order]}})


def _reply(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of predictions and, for classes, of scores and labels."""
    classes = schema["classes"]
    if not classes:
        return _object({"predictions": _list({"type": "number"})})

    one_class = {"enum": classes}
    row_scores = _list({"type": "number"})
    row_scores["minItems"] = len(classes)
    reply = {"predictions": _list(one_class), "scores": _list(row_scores)}
    if not schema.get("scores", True):
        del reply["scores"]
    return _object({**reply, "labels": _list(one_class)})


def _value(described: dict[str, Any], column: Any) -> dict[str, Any]:
    """Return the schema of a value of one column."""
    value = _not_missing(described, column)
    if column.accepts_missing:
        return {"anyOf": [value, {"type": "null"}, {"enum": sorted(column.missing_texts)}]}
    return value


def _not_missing(described: dict[str, Any], column: Any) -> dict[str, Any]:
    """Return the schema of a value of one column that is not missing.

    A number may be outside the range of the training data.
    """
    if isinstance(column, Category):
        return _category(described["categories"], column)
    if described["kind"] == "number":
        value = {"type": "number", "minimum": -FLOAT32_MAX, "maximum": FLOAT32_MAX}
        if "minimum" in described:
            found = f"{described['minimum']:g} to {described['maximum']:g} in training"
            value["description"] = found
        return value
    if described["kind"] == "date":
        return {"type": "string", "description": f"format {described['format']}, or ISO 8601"}
    return {"type": "string"}


def _category(categories: list[Any], column: Category) -> dict[str, Any]:
    """Return the schema of a category.

    The categories of the training data are an enumeration if no others are valid.
    """
    if column.accepts_unknown or len(categories) > MAX_CATEGORIES:
        types = sorted({JSON_TYPES[kind] for kind in column.types})
        return {"type": types if len(types) > 1 else types[0]}
    if column.types == {str}:
        return {"type": "string", "enum": categories}
    return {"enum": [*categories, *(text for text in column.cell_of if type(text) is str)]}


JSON_TYPES: dict[type, str] = {str: "string", int: "integer", bool: "boolean"}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}
