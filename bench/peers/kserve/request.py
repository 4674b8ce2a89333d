"""The request of KServe's V1 protocol."""

import json


def body(rows):
    """Path, headers and bytes of a request for `rows` (lists in column order)."""
    content = json.dumps({"instances": rows})
    return "/v1/models/adult_income:predict", {"Content-Type": "application/json"}, content.encode()


def answers(status, content):
    """The predicted class of each row; raises ValueError if that isn't what `content` holds."""
    if status != 200:
        raise ValueError(f"status {status}: {content[:200]!r}")
    return json.loads(content)["predictions"]
