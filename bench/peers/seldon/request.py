"""The request that Seldon's documentation shows: names and an ndarray."""

import json

from bench.peers.table import COLUMNS


def body(rows):
    """Return path, headers and bytes of a request for `rows`.

    Each row is a list in column order.
    """
    content = json.dumps({"data": {"names": COLUMNS, "ndarray": rows}})
    return "/api/v1.0/predictions", {"Content-Type": "application/json"}, content.encode()


def answers(status, content):
    """Return the predicted class of each row.

    Raises ValueError if `status` is not 200 or `content` is not JSON.
    """
    if status != 200:
        raise ValueError(f"status {status}: {content[:200]!r}")
    return json.loads(content)["data"]["ndarray"]
