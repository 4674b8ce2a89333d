"""The request of LitServe's own examples: {"input": ...} to /predict."""

import json


def body(rows):
    """Path, headers and bytes of a request for `rows` (lists in column order)."""
    return "/predict", {"Content-Type": "application/json"}, json.dumps({"input": rows}).encode()


def answers(status, content):
    """The predicted class of each row; raises ValueError if that isn't what `content` holds."""
    if status != 200:
        raise ValueError(f"status {status}: {content[:200]!r}")
    return json.loads(content)["output"]
