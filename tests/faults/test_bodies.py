"""Malformed bodies on every route: each error is a 4xx in JSON without internals."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.applications import PYTHONPATH, routes
from support.commands import wait_until
from support.fault_servers import naive_server, write_naive_model
from support.figures import Figure, times
from support.malformed_bodies import CONTENT_TYPES, CORPUS, mutated
from support.models import MODEL_DIRS
from support.server import ALL_ROUTES, PATHS, Server

MUTATIONS = times(20_000, 1_500)
ROUTE_PATHS = [*(PATHS[model] for model in MODEL_DIRS), "/echo"]
PAGES = ["/health", "/ready", "/metrics", "/", "/none"]
ALL_PATHS = [*ROUTE_PATHS, *PAGES]
MOSTLY_JSON = ["application/json"] * 20 + CONTENT_TYPES
LEAKS = re.compile(
    rb'Traceback|File "|\.py\b|site-packages|object at 0x|<class|<html'
    rb"|NoneType|\b(dict|str|bool|int|float|tuple|ndarray)\b"
    rb"|\b\w+(Error|Exception)\b|(?<![./x\w])/(usr|tmp|opt|root|home|etc|var)/"
)


@pytest.fixture(scope="module")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers that serve every model, and echo."""
    directory = tmp_path_factory.mktemp("bodies")
    (directory / "models").symlink_to(trained / "models")
    entries = f"{ALL_ROUTES},{routes('echo')}"
    with Server(directory, entries, WORKERS="2", PYTHONPATH=PYTHONPATH) as running:
        yield running.wait_until_ready(workers=2)


class Client:
    """A client that posts bodies on one open connection and records wrong replies."""

    def __init__(self, server: Server):
        self.server = server
        self.session = server.session()
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def post(self, path: str, body: bytes, content_type: str = "application/json") -> None:
        """Post a body and check the reply."""
        headers = {"Content-Type": content_type} if content_type else {}
        url = self.server.url + path
        try:
            response = self.session.post(url, data=body, headers=headers, timeout=20)
        except requests.RequestException as error:
            self.wrong.append(f"{path}: {error!r}")
            return

        self.statuses[response.status_code] += 1
        if not is_right(response):
            self.wrong.append(f"{path}: {response.status_code} {response.text}")

    def kinds_of_wrong(self) -> list[str]:
        """Return the wrong replies; count replies that differ only in numbers once."""
        return sorted({re.sub(r"\d+", "N", text)[:300] for text in self.wrong})

    def families(self) -> str:
        """Return how many replies were 2xx, 4xx and so on."""
        counts = Counter(f"{status // 100}xx" for status in self.statuses.elements())
        return ", ".join(f"{count:,} {family}" for family, count in sorted(counts.items()))


def is_right(response: requests.Response) -> bool:
    """Return whether a reply is a 200, or a 4xx in JSON without internals."""
    if response.status_code == 200:
        return True
    if not 400 <= response.status_code < 500:
        return False
    if response.headers["content-type"] != "application/json":
        return False

    has_form = set(response.json()["error"]) == {"code", "message", "path"}
    return has_form and not LEAKS.search(response.content)


def post_mutations(client: Client) -> None:
    """Post mutated bodies to every path, most of them as JSON."""

    @settings(
        max_examples=MUTATIONS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated(), st.sampled_from(ALL_PATHS), st.sampled_from(MOSTLY_JSON))
    def post_one(body: bytes, path: str, content_type: str) -> None:
        client.post(path, body, content_type)

    post_one()


def test_no_body_fails_the_server(server: Server, figure: Figure, tmp_path: Path) -> None:
    workers = server.worker_pids()
    with Client(server) as client:
        for body in CORPUS:
            for path in ALL_PATHS:
                client.post(path, body)
        post_mutations(client)

    posted = client.statuses.total()
    figure(
        f"{posted:,} malformed and hostile bodies on {len(ALL_PATHS)} routes",
        f"{client.families()}, {len(client.wrong)} dropped, not JSON or showing internals",
        naive_handler(tmp_path),
    )
    assert client.kinds_of_wrong() == []
    assert server.worker_pids() == workers
    assert "Traceback" not in server.output
    assert posted > MUTATIONS + len(CORPUS) * len(ALL_PATHS) - 100


def naive_handler(directory: Path) -> str:
    """Post the same corpus to the document's handler, and check that it fails."""
    write_naive_model(directory)
    with naive_server(directory, "document") as server:
        wait_until(lambda: server.status("/predict") == 405, 60)
        with Client(server) as client:
            for body in CORPUS[:: times(1, 5)]:
                client.post("/predict", body)

    failed = sum(count for status, count in client.statuses.items() if status >= 500)
    assert failed > 0
    posted = client.statuses.total()
    return f"Flask and pandas: {failed} of {posted} are 5xx, {len(client.wrong)} are HTML"
