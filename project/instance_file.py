"""Write the test instances of a model, one instance in each line.

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import json
from typing import Any


def instances_text(payload: dict[str, Any], **others: Any) -> str:
    """Return the text of test_instances.json, with a payload and other keys."""
    lines = ["{", '  "payload": {']
    for name, value in payload.items():
        lines += entry(name, value, "    ")
    lines[-1] = lines[-1].rstrip(",")
    lines.append("  },")
    for name, value in others.items():
        lines.append(f"  {json.dumps(name)}: {json_of(value)},")
    lines[-1] = lines[-1].rstrip(",")
    return "\n".join([*lines, "}", ""])


def entry(name: str, value: Any, indent: str) -> list[str]:
    """Return the lines of a key of the payload; each instance has its own line."""
    if name != "instances" or not isinstance(value, list):
        return [f"{indent}{json.dumps(name)}: {json_of(value)},"]
    rows = ",\n".join(f"{indent}  {json_of(row)}" for row in value)
    return [f'{indent}"instances": [', rows, f"{indent}],"]


def json_of(value: Any) -> str:
    """Return a value as JSON in one line, with all letters as they are."""
    return json.dumps(value, ensure_ascii=False)
