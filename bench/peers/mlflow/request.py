"""The request that MLflow's documentation shows first: dataframe_split."""

import json

from bench.peers.table import COLUMNS


def body(rows):
    """Path, headers and bytes of a request for `rows` (lists in column order)."""
    content = json.dumps({"dataframe_split": {"columns": COLUMNS, "data": rows}})
    return "/invocations", {"Content-Type": "application/json"}, content.encode()


def answers(status, content):
    """The predicted class of each row; raises ValueError if that isn't what `content` holds."""
    if status != 200:
        raise ValueError(f"status {status}: {content[:200]!r}")
    return json.loads(content)["predictions"]
