"""The request of LitServe's examples: {"input": ...} to /predict."""

import json


def body(rows):
    """Return path, headers and bytes of a request for `rows`.

    Each row is a list in column order.
    """
    return "/predict", {"Content-Type": "application/json"}, json.dumps({"input": rows}).encode()


def answers(status, content):
    """Return the predicted class of each row.

    Raises ValueError if `status` is not 200 or `content` is not JSON.
    """
    if status != 200:
        raise ValueError(f"status {status}: {content[:200]!r}")
    return json.loads(content)["output"]
