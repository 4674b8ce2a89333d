"""The request of KServe's V1 protocol."""

import json


def body(rows):
    """Return path, headers and bytes of a request for `rows`.

    Each row is a list in column order.
    """
    content = json.dumps({"instances": rows})
    return "/v1/models/adult_income:predict", {"Content-Type": "application/json"}, content.encode()


def answers(status, content):
    """Return the predicted class of each row.

    Raises ValueError if `status` is not 200 or `content` is not JSON.
    """
    if status != 200:
        raise ValueError(f"status {status}: {content[:200]!r}")
    return json.loads(content)["predictions"]
