"""The request that Seldon's documentation shows: names and an ndarray."""

import json

from bench.peers.table import COLUMNS


def body(rows):
    """Path, headers and bytes of a request for `rows` (lists in column order)."""
    content = json.dumps({"data": {"names": COLUMNS, "ndarray": rows}})
    return "/api/v1.0/predictions", {"Content-Type": "application/json"}, content.encode()


def answers(status, content):
    """The predicted class of each row; raises ValueError if that isn't what `content` holds."""
    if status != 200:
        raise ValueError(f"status {status}: {content[:200]!r}")
    return json.loads(content)["data"]["ndarray"]
