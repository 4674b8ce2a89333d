"""The former names of support.server, for test files that are not converted yet."""

import http.client
import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from support.commands import wait_until as until
from support.models import MODEL_DIRS
from support.models import example_body as instances
from support.server import JSON, PATHS, ROUTES, Server

__all__ = [
    "JSON",
    "MODEL_DIRS",
    "PATHS",
    "ROUTES",
    "Answer",
    "Daemon",
    "instances",
    "received",
    "until",
]


class Answer(NamedTuple):
    """A response: status, headers (their names in lower case), body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def received(connection: http.client.HTTPConnection) -> Answer:
    """Return the response to the request just sent."""
    response = connection.getresponse()
    headers = {key.lower(): value for key, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


class Daemon(Server):
    """Server under its former names, with the former client."""

    def __init__(
        self, directory: Path, routes: str, prefix: tuple[str, ...] = (), **variables: str
    ):
        super().__init__(directory, routes, prefix=prefix, **variables)

    @property
    def said(self) -> str:
        return self.output

    def connect(self) -> http.client.HTTPConnection:  # type: ignore[override]
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = JSON
    ) -> Answer:
        connection = self.connect()
        try:
            connection.request(method, path, body, dict(headers))
            return received(connection)
        finally:
            connection.close()

    def ready(self, seconds: float = 30) -> "Daemon":
        return self.wait_until_ready(seconds)

    def samples(self) -> dict[tuple[str, ...], float]:
        return self.metrics()

    def workers(self) -> list[int]:
        return self.worker_pids()

    def ended(self, seconds: float = 20) -> int:
        return self.wait(seconds)

    def signal(self, number: signal.Signals) -> None:
        self.send_signal(number)

    def raw(self, data: bytes) -> Any:
        return Server.connect(self, data)
