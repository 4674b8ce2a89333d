"""Measure one model's endpoint in a separate process.

Usage: python bench/predict_process.py MODEL_NAME      in a folder with models/

bench/baseline.py starts one process for each checkout. PYTHONPATH selects the checkout whose code
runs. Each line of standard input is the body of a request. For each body, the process prints the
time of an answer, in ms.
"""

import gc
import sys
from collections.abc import Callable
from functools import partial

from measure import milliseconds
from runtime.endpoint import Endpoint

from utils.serving import served

# Other processes of the machine can only make a turn slower, so the fastest turn counts.
TURNS = 10
TURN_SECONDS = 0.01


def fastest(call: Callable[[], object]) -> float:
    """Return the mean time of a call in the fastest of several short turns, in ms."""
    return min(milliseconds(call, TURN_SECONDS) for _ in range(TURNS))


def main(name: str) -> None:
    """Measure the endpoint with each body on standard input."""
    endpoint = Endpoint(name, served(name)(lambda msg, model: model.answer(msg)))
    endpoint.refresh()

    # The server calls this function too. Without it, the garbage collector also visits all imported
    # modules.
    gc.freeze()

    for line in sys.stdin.buffer:
        body = line.rstrip(b"\n")
        response = endpoint.answer(body)
        if response.status != 200:
            raise RuntimeError(f"{name}: expected status 200, found {response}")
        print(fastest(partial(endpoint.answer, body)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
