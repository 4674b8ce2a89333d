"""The predict server as a separate process, and its `requests` client.

    with Server(directory, routes("echo"), WORKERS="2") as server:
        server.wait_until_ready()
        response = server.post("/echo", b'{"payload": 1}')
        assert response.status_code == 200 and response.json() == {"payload": {"echo": 1}}

ROUTES, ALL_ROUTES and PATHS are those of this repository's models. error_in returns the error in
a response. start_and_fail is for servers that must not start.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import requests
from prometheus_client.parser import text_string_to_metric_families
from runtime.environment import read
from support.commands import ROOT, Completed, clean_environment, run, wait_until
from support.models import MODEL_DIRS, instances_body
from support.network import Response, connect, free_port

JSON = {"Content-Type": "application/json"}
LABELS = ("route", "status", "le", "model", "digest")
REQUEST_SECONDS = 20
LOG_BYTES = 1 << 20
Metrics = dict[tuple[str, ...], float]


def route_of(model: str) -> str:
    """Return a model's entry of ROUTES, importable from the checkout.

    build.sh stages every model as the package finance_income_prediction; in the checkout the
    package is the directory itself.
    """
    entry = read(ROOT / model / ".s2i" / "environment")["ROUTES"]
    return entry.replace("finance_income_prediction", model)


ROUTES = {model: route_of(model) for model in MODEL_DIRS}
ALL_ROUTES = ",".join(ROUTES.values())
PATHS = {model: "/" + route.split(":")[0] for model, route in ROUTES.items()}


class Server:
    """A running predict server; a context manager that stops it.

    `directory` is its working directory, `routes` its ROUTES, `module` the Python module that is
    run with its arguments, `prefix` a command that runs it. `variables` are added to its
    environment.
    """

    def __init__(
        self,
        directory: Path,
        routes: str,
        *,
        module: tuple[str, ...] = ("runtime.serve",),
        prefix: tuple[str, ...] = (),
        **variables: str,
    ):
        self.port = int(variables.get("PORT") or free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the server

        settings = {
            "PYTHONPATH": f"{ROOT / 'builders'}{os.pathsep}{ROOT}",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "WORKERS": "1",
            "DRAIN_SECONDS": "0",
            "LOG_FORMAT": "text",
            "ROUTES": routes,
        }
        environment = clean_environment(**{**settings, **variables})
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", *module],
            cwd=directory,
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            self._log.close()

    def stop(self) -> None:
        """Stop the server, and fail if it doesn't end by itself."""
        if self.process.poll() is not None:
            return

        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    @property
    def output(self) -> str:
        """The complete output of the server so far, log and errors."""
        return os.pread(self._log.fileno(), LOG_BYTES, 0).decode()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = JSON,
        seconds: float = REQUEST_SECONDS,
    ) -> requests.Response:
        """Send one request on a separate connection and return the response.

        `requests` normalizes paths: "//a" is sent as "/a". support.network.send sends bytes as
        they are.
        """
        with self.session() as session:
            return session.request(
                method,
                self.url + path,
                data=body,
                headers=dict(headers),
                timeout=seconds,
                allow_redirects=False,
            )

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        """GET a page."""
        return self.request("GET", path, headers=headers or {})

    def post(self, path: str, body: bytes, headers: Mapping[str, str] = JSON) -> requests.Response:
        """POST a body, as JSON by default."""
        return self.request("POST", path, body, headers)

    def predict(self, path: str, rows: object) -> requests.Response:
        """POST `rows` as instances."""
        return self.post(path, instances_body(rows))

    def session(self) -> requests.Session:
        """Return a session, which keeps its connections and uses no proxy."""
        session = requests.Session()
        session.trust_env = False
        return session

    def connect(self, data: bytes = b"") -> socket.socket:
        """Open a connection and send `data` on it unchanged."""
        return connect(self.port, data)

    def status(self, path: str = "/ready") -> int:
        """Return the status of a GET, and 0 if there is no response."""
        try:
            return self.get(path).status_code
        except requests.RequestException:
            return 0

    def wait_until_ready(self, seconds: float = 30, workers: int = 1) -> Self:
        """Return this server when it is ready and all its workers run."""
        wait_until(lambda: self.process.poll() is not None or self.status() == 200, seconds)
        assert self.process.poll() is None, self.output
        wait_until(lambda: len(self.worker_pids()) == workers or workers == 1, seconds)
        return self

    def metrics(self) -> Metrics:
        """Return /metrics as Prometheus' own parser reads it.

        The key is the sample's name and the values of its LABELS, in their order.
        """
        families = text_string_to_metric_families(self.get("/metrics").text)
        values: Metrics = {}
        for family in families:
            for sample in family.samples:
                labels = [sample.labels[label] for label in LABELS if label in sample.labels]
                values[(sample.name, *labels)] = sample.value
        return values

    def worker_pids(self) -> list[int]:
        """Return the process ids of the workers, the oldest first."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in children.split()]

    def wait(self, seconds: float = 20) -> int:
        """Return the exit code, once the server has ended."""
        return self.process.wait(seconds)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the server's first process."""
        self.process.send_signal(number)


def error_in(response: requests.Response | Response) -> dict[str, Any]:
    """Return the error in a response, which must be JSON with nothing else."""
    document = response.json()
    assert response.headers["Content-Type"] == "application/json"
    assert list(document) == ["error"]
    error: dict[str, Any] = document["error"]
    return error


def start_and_fail(directory: Path, routes: str, **variables: str) -> Completed:
    """Start a server that is expected to end with an error, and wait for its end."""
    environment = {
        "PYTHONPATH": str(ROOT / "builders"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ROUTES": routes,
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "LOG_FORMAT": "text",
        **variables,
    }
    command = (sys.executable, "-m", "runtime.serve")
    return run(*command, cwd=directory, env=environment, seconds=20)
