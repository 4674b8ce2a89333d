"""The request of MLServer's documentation for a DataFrame: V2 protocol, one input per column."""

import json

from bench.peers.table import COLUMNS


def body(rows):
    """Path, headers and bytes of a request for `rows` (lists in column order)."""
    inputs = []
    for name, values in zip(COLUMNS, zip(*rows)):
        inputs.append({"name": name, "shape": [len(values)], "datatype": "INT64", "data": values})
        if isinstance(values[0], str):
            inputs[-1].update(datatype="BYTES", parameters={"content_type": "str"})
    content = json.dumps({"parameters": {"content_type": "pd"}, "inputs": inputs})
    return "/v2/models/adult_income/infer", {"Content-Type": "application/json"}, content.encode()


def answers(status, content):
    """The predicted class of each row; raises ValueError if that isn't what `content` holds."""
    if status != 200:
        raise ValueError(f"status {status}: {content[:200]!r}")
    return json.loads(content)["outputs"][0]["data"]
