"""The workers of a server: which of them answer, and what they serve.

answering_pids, wait_until_workers_answer and two_workers need the route `work` of apps/app.py. The
module also defines served_models.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from support.commands import wait_until
from support.server import Server

REQUESTS = 10


@contextmanager
def two_workers(directory: Path, routes: str) -> Iterator[Server]:
    """Run a server whose two workers both answer."""
    with Server(directory, routes, WORKERS="2") as server:
        server.wait_until_ready()
        wait_until_workers_answer(server, 2)
        yield server


def answering_pids(server: Server) -> set[int]:
    """Return the process ids of the workers that answer some requests.

    Each request has a separate connection, which any worker may accept. The result is
    empty if a request fails.
    """
    try:
        responses = [server.post("/work", b'{"payload": 0}') for _ in range(REQUESTS)]
    except requests.RequestException:
        return set()
    return {response.json()["payload"]["pid"] for response in responses}


def wait_until_workers_answer(server: Server, workers: int, seconds: float = 10) -> set[int]:
    """Wait until this number of workers answers, and return their process ids."""
    pids: set[int] = set()

    def all_answer() -> bool:
        pids.clear()
        pids.update(answering_pids(server))
        return len(pids) == workers

    wait_until(all_answer, seconds)
    return pids


def served_models(server: Server) -> list[tuple[str, ...]]:
    """Return route, model and digest of each model that /metrics shows as served."""
    models = []
    for sample, value in server.metrics().items():
        if sample[0] == "predict_model_info" and value == 1:
            models.append(sample[1:])
    return models
