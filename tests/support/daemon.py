"""A predict daemon for tests: started as a container would start it, asked over real connections, stopped."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from conftest import MODEL_DIRS, PUBLIC, ROOT, free_port
from prometheus_client.parser import text_string_to_metric_families
from runtime.environment import read

# The package under which build.sh stages the models; here they are imported from the checkout itself.
ROUTES = {
    name: read(ROOT / name / ".s2i" / "environment")["ROUTES"].replace(
        "finance_income_prediction", name
    )
    for name in MODEL_DIRS
}
PATHS = {name: "/" + route.split(":")[0] for name, route in ROUTES.items()}
LABELS = ("route", "status", "le", "model", "digest")
JSON = {"Content-Type": "application/json"}


class Answer(NamedTuple):
    """What came back: status, headers (their names in small letters), body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def instances(name: str) -> bytes:
    """The body that posts a model's test instances."""
    return (ROOT / name / "test" / "test_instances.json").read_bytes()


def received(connection: http.client.HTTPConnection) -> Answer:
    """The answer to the request just sent."""
    response = connection.getresponse()
    return Answer(
        response.status,
        {key.lower(): value for key, value in response.getheaders()},
        response.read(),
    )


def until(condition: Callable[[], Any], seconds: float) -> Any:
    """What `condition` gives as soon as that is true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.02)
    raise AssertionError(f"not so within {seconds} s")


class Daemon:
    """A running predict daemon in `directory`; a context manager that stops it."""

    module: tuple[str, ...] = ("runtime.serve",)

    def __init__(
        self, directory: Path, routes: str, prefix: tuple[str, ...] = (), **variables: str
    ):
        self.port = int(variables.get("PORT") or free_port())
        self._log, name = tempfile.mkstemp()
        os.unlink(name)
        path = f"{ROOT / 'builders'}{os.pathsep}{ROOT}"
        clean = {key: value for key, value in os.environ.items() if key not in PUBLIC}
        settings = {
            "PYTHONPATH": path,
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOST": "127.0.0.1",
        }
        settings |= {"WORKERS": "1", "DRAIN_SECONDS": "0", "LOG_FORMAT": "text", "ROUTES": routes}
        env = {**clean, **settings, **variables}
        command = [*prefix, sys.executable, "-m", *self.module]
        env["PORT"] = variables.get("PORT", str(self.port))
        self.process = subprocess.Popen(
            command, cwd=directory, env=env, stdout=self._log, stderr=subprocess.STDOUT
        )

    def __enter__(self) -> "Daemon":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        os.close(self._log)

    @property
    def said(self) -> str:
        """All that the daemon has printed so far."""
        return os.pread(self._log, 1 << 20, 0).decode()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = JSON
    ) -> Answer:
        """Sends one request on a connection of its own."""
        connection = self.connect()
        try:
            connection.request(method, path, body, dict(headers))
            return received(connection)
        finally:
            connection.close()

    def status(self, path: str = "/ready") -> int:
        """The status of a GET; 0 if nothing answers."""
        try:
            return self.ask("GET", path).status
        except (OSError, http.client.HTTPException):
            return 0

    def ready(self, seconds: float = 30) -> "Daemon":
        """Returns once the daemon is ready."""
        until(lambda: self.process.poll() is not None or self.status() == 200, seconds)
        assert self.process.poll() is None, self.said
        return self

    def samples(self) -> dict[tuple[str, ...], float]:
        """/metrics as Prometheus' own reader sees it: value by name, route, status, bucket, model and digest."""
        families = text_string_to_metric_families(self.ask("GET", "/metrics").body.decode())
        return {
            (
                sample.name,
                *(sample.labels[label] for label in LABELS if label in sample.labels),
            ): sample.value
            for family in families
            for sample in family.samples
        }

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        pid = self.process.pid
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]

    def ended(self, seconds: float = 20) -> int:
        """The exit code, once the daemon has ended."""
        return self.process.wait(seconds)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def raw(self, data: bytes) -> socket.socket:
        """A connection on which `data` has been sent as it is."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.sendall(data)
        return connection
