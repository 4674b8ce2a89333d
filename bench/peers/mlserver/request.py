"""The request for a DataFrame from MLServer's documentation.

It uses the V2 protocol, with one input per column.
"""

import json

from bench.peers.table import COLUMNS


def body(rows):
    """Return path, headers and bytes of a request for `rows`.

    Each row is a list in column order.
    """
    inputs = []
    for name, values in zip(COLUMNS, zip(*rows)):
        inputs.append({"name": name, "shape": [len(values)], "datatype": "INT64", "data": values})
        if isinstance(values[0], str):
            inputs[-1].update(datatype="BYTES", parameters={"content_type": "str"})
    content = json.dumps({"parameters": {"content_type": "pd"}, "inputs": inputs})
    return "/v2/models/adult_income/infer", {"Content-Type": "application/json"}, content.encode()


def answers(status, content):
    """Return the predicted class of each row.

    Raises ValueError if `status` is not 200 or `content` is not JSON.
    """
    if status != 200:
        raise ValueError(f"status {status}: {content[:200]!r}")
    return json.loads(content)["outputs"][0]["data"]
