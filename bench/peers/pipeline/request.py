"""The request of our own clients."""

import json


def body(rows):
    """Path, headers and bytes of a request for `rows` (lists in column order)."""
    content = json.dumps({"payload": {"instances": rows}})
    return "/adult_income/predict", {"Content-Type": "application/json"}, content.encode()


def answers(status, content):
    """The predicted class of each row; raises ValueError if that isn't what `content` holds."""
    if status != 200:
        raise ValueError(f"status {status}: {content[:200]!r}")
    return json.loads(content)["payload"]["predictions"]
