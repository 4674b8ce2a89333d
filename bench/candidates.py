"""Servers that are compared: how to start each, what to send it, and turns under load."""

import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from load import Load, Server, load
from measure import ROOT, rows_of_data

ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS_EACH = int(os.environ.get("SECONDS_EACH", "2"))  # wrk takes whole ones
WORKERS = "2"
FIRST_PORT = 5200
# Rows to a request: path, headers, body.
Request = Callable[[list[Any]], tuple[str, dict[str, str], bytes]]
MODELS = {
    "adult_income_lr": "logisticRegression",
    "adult_income_xgb": "xgBoost",
    "adult_income_rf": "randomForest",
}


class Candidate:
    """A server of ours or another's. `{port}` and `{workers}` in its command are filled in."""

    def __init__(
        self,
        request: Request,
        command: Sequence[str],
        variables: Mapping[str, str],
        cwd: Path = ROOT,
    ):
        self.request, self.command, self.variables, self.cwd = request, command, variables, cwd
        self.server: Server | None = None

    def start(self, port: int, scratch: Path, workers: str) -> float:
        """Starts it and returns the seconds to its first answer."""
        variables = {**self.variables, "PORT": str(port), "WORKERS": workers}
        command = [part.format(port=port, workers=workers) for part in self.command]
        self.server = Server(command, port, variables, self.cwd, scratch / f"{port}.log")
        return self.server.wait(*self.request(rows_of_data(1)))

    def measure(self, rows: int, connections: int) -> Load:
        """One turn under load, with different rows in turn."""
        assert self.server is not None
        count = max(4, 256 // rows)
        table = rows_of_data(count * rows)
        requests = [self.request(table[i * rows : (i + 1) * rows]) for i in range(count)]
        path, headers, _ = requests[0]
        bodies = [body for _, _, body in requests]
        return load(self.server.url + path, headers, bodies, connections, SECONDS_EACH)


def documents(path: str) -> Request:
    """The request of the document's clients to a route."""
    headers = {"Content-Type": "application/json"}
    return lambda rows: (path, headers, json.dumps({"payload": {"instances": rows}}).encode())


def local(image: str, path: str) -> Candidate:
    """An image of the local engine."""
    command = ["engines/local.sh", "predict", image]
    return Candidate(documents(path), command, {"UNKNOWN": "ignore"})


@contextlib.contextmanager
def running(servers: Mapping[str, Candidate], workers: str = WORKERS) -> Iterator[dict[str, float]]:
    """Starts the servers, ten ports apart; gives the seconds to each one's first answer; stops them."""
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(143)
    )  # or the servers would outlive a benchmark that is ended
    with tempfile.TemporaryDirectory() as scratch:
        try:
            numbered = enumerate(servers.items())
            yield {
                name: one.start(FIRST_PORT + 10 * i, Path(scratch), workers)
                for i, (name, one) in numbered
            }
        finally:
            for candidate in servers.values():
                if candidate.server is not None:
                    candidate.server.stop()


def loaded(servers: Mapping[str, Candidate], rows: int, connections: int) -> dict[str, list[Load]]:
    """Each server's loads by round, the order turned by one each time."""
    values: dict[str, list[Load]] = {name: [] for name in servers}
    names = list(servers)
    for number in range(ROUNDS):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            values[name].append(servers[name].measure(rows, connections))
    return values
