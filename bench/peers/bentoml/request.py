"""The request of BentoML's documentation for a DataFrame: the argument's name, and records."""

import json

from bench.peers.table import COLUMNS


def body(rows):
    """Path, headers and bytes of a request for `rows` (lists in column order)."""
    content = json.dumps({"frame": [dict(zip(COLUMNS, row)) for row in rows]})
    return "/predict", {"Content-Type": "application/json"}, content.encode()


def answers(status, content):
    """The predicted class of each row; raises ValueError if that isn't what `content` holds."""
    if status != 200:
        raise ValueError(f"status {status}: {content[:200]!r}")
    return json.loads(content)
