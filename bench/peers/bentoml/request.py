"""The request for a DataFrame from BentoML's documentation.

It has the name of the argument, and the rows as records.
"""

import json

from bench.peers.table import COLUMNS


def body(rows):
    """Return path, headers and bytes of a request for `rows`.

    Each row is a list in column order.
    """
    content = json.dumps({"frame": [dict(zip(COLUMNS, row)) for row in rows]})
    return "/predict", {"Content-Type": "application/json"}, content.encode()


def answers(status, content):
    """Return the predicted class of each row.

    Raises ValueError if `status` is not 200 or `content` is not JSON.
    """
    if status != 200:
        raise ValueError(f"status {status}: {content[:200]!r}")
    return json.loads(content)
