"""Start the servers that are compared, and measure them by turns."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from load import Load, Server, load
from measure import ROOT, alternate, clean_environment, rows_of_data

ROUNDS = int(os.environ.get("ROUNDS", "5"))
# wrk accepts only an integer number of seconds.
SECONDS_EACH = int(os.environ.get("SECONDS_EACH", "2"))
WORKERS = "2"
FIRST_PORT = 5200
# A Request function turns rows into path, headers and body.
Request = Callable[[list[Any]], tuple[str, dict[str, str], bytes]]


class Candidate:
    """One of the servers that are compared.

    `{port}` and `{workers}` in `command` are replaced at the start.
    """

    def __init__(
        self,
        request: Request,
        command: Sequence[str],
        variables: Mapping[str, str],
        cwd: Path = ROOT,
    ):
        self.request = request
        self.command = command
        self.variables = variables
        self.cwd = cwd
        self.server: Server | None = None

    def start(self, port: int, scratch: Path, workers: str) -> float:
        """Start the server and return the seconds to its first answer."""
        variables = {**self.variables, "PORT": str(port), "WORKERS": workers}
        command = [part.format(port=port, workers=workers) for part in self.command]
        self.server = Server(command, port, variables, self.cwd, scratch / f"{port}.log")
        return self.server.wait(*self.request(rows_of_data(1)))

    def measure(self, rows: int, connections: int) -> Load:
        """Measure one turn under load; the requests have different rows."""
        assert self.server is not None
        count = max(4, 256 // rows)
        table = rows_of_data(count * rows)
        requests = [self.request(table[i * rows : (i + 1) * rows]) for i in range(count)]
        path, headers, _ = requests[0]
        bodies = [body for _, _, body in requests]
        return load(self.server.url + path, headers, bodies, connections, SECONDS_EACH)


def build_image(image: str, directory: str, root: Path = ROOT) -> None:
    """Build a predict image for the local engine.

    The build.sh of the checkout `root` builds it.
    """
    command = ["./build.sh", image, directory, "predict"]
    run_local(command, root)


def run_local(command: Sequence[str], root: Path = ROOT) -> None:
    """Run a command at the root of a checkout, with the local engine."""
    variables = {**clean_environment(), "ENGINE": "local"}
    subprocess.run(command, cwd=root, env=variables, check=True)


def document_request(path: str) -> Request:
    """Return the function that makes the document's request to a route."""
    headers = {"Content-Type": "application/json"}

    def request(rows: list[Any]) -> tuple[str, dict[str, str], bytes]:
        return path, headers, json.dumps({"payload": {"instances": rows}}).encode()

    return request


def local_image(image: str, path: str, root: Path = ROOT) -> Candidate:
    """Return the server of a local engine's image in the checkout `root`."""
    command = ["engines/local.sh", "predict", image]
    return Candidate(document_request(path), command, {"UNKNOWN": "ignore"}, root)


def start(servers: Mapping[str, Candidate], scratch: Path, workers: str) -> dict[str, float]:
    """Start the servers and return the seconds to the first answer of each."""
    seconds = {}
    # Some servers use several ports, so the ports are ten apart.
    for number, (name, candidate) in enumerate(servers.items()):
        seconds[name] = candidate.start(FIRST_PORT + 10 * number, scratch, workers)
    return seconds


@contextlib.contextmanager
def running(servers: Mapping[str, Candidate], workers: str = WORKERS) -> Iterator[dict[str, float]]:
    """Run the servers during a with statement.

    Yields the seconds to the first answer of each server.
    """
    # Without this, the servers outlive a benchmark that is terminated.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    with tempfile.TemporaryDirectory() as scratch:
        try:
            yield start(servers, Path(scratch), workers)
        finally:
            for candidate in servers.values():
                if candidate.server is not None:
                    candidate.server.stop()


def measure_loads(
    servers: Mapping[str, Candidate], rows: int, connections: int
) -> dict[str, list[Load]]:
    """Return the load results of each server by round."""
    calls = {
        name: partial(candidate.measure, rows, connections) for name, candidate in servers.items()
    }
    return alternate(calls, ROUNDS)
