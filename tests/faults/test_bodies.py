"""Malformed and hostile bodies on every route: an error is the client's, is JSON, and tells nothing of the inside."""

import http.client
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from bodies import CORPUS, TYPES, mutated
from clients import PYTHONPATH, Naive, complete
from conftest import MODEL_DIRS, ROOT
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from naive import FILE, train
from support.daemon import PATHS, ROUTES, Answer, Daemon, received, until
from support.figures import Figure, times

MUTATIONS = times(20_000, 1_500)
OWN = ("/health", "/ready", "/metrics", "/", "/none")
LEAKS = re.compile(
    rb'Traceback|File "|\.py\b|site-packages|object at 0x|<class|<html'
    rb"|NoneType|\b(dict|str|bool|int|float|tuple|ndarray)\b"
    rb"|\b\w+(Error|Exception)\b|(?<![./x\w])/(usr|tmp|opt|root|home|etc|var)/"
)


@pytest.fixture(scope="module")
def daemon(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Two workers that serve every model and a function that says what it was asked."""
    directory = tmp_path_factory.mktemp("bodies")
    (directory / "models").symlink_to(trained / "models")
    routes = ",".join([*ROUTES.values(), "echo:app:echo"])
    with Daemon(directory, routes, WORKERS="2", PYTHONPATH=PYTHONPATH) as running:
        yield complete(running)


class Asker:
    """Posts bodies on one kept connection, and writes down what is wrong with the answers."""

    def __init__(self, daemon: Daemon):
        self.daemon = daemon
        self.connection = daemon.connect()
        self.statuses: Counter[int] = Counter()
        self.wrong: list[tuple[str, bytes, Answer | str]] = []

    def post(self, path: str, body: bytes, kind: str = "application/json") -> None:
        try:
            self.connection.request("POST", path, body, {"Content-Type": kind} if kind else {})
            answer = received(self.connection)
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self.wrong.append((path, body[:200], repr(error)))
            return
        self.statuses[answer.status] += 1
        if not sound(answer):
            self.wrong.append((path, body[:200], answer))

    def messages(self) -> list[str]:
        """What is wrong, each kind once."""
        texts = {
            answer if isinstance(answer, str) else answer.body.decode()
            for _, _, answer in self.wrong
        }
        return sorted({re.sub(r"\d+", "N", text)[:300] for text in texts})

    def families(self) -> str:
        """The statuses by their hundreds."""
        counts = Counter(f"{status // 100}xx" for status in self.statuses.elements())
        return ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items()))


def sound(answer: Answer) -> bool:
    """Whether an answer is a good one, or an error of the client's, in JSON with its code, that tells nothing else."""
    if answer.status == 200:
        return True
    if not 400 <= answer.status < 500 or answer.headers["content-type"] != "application/json":
        return False
    return set(answer.json["error"]) == {"code", "message", "path"} and not LEAKS.search(
        answer.body
    )


def test_no_body_fails_the_server(daemon: Daemon, figure: Figure, tmp_path: Path) -> None:
    asker, workers = Asker(daemon), daemon.workers()
    paths = [*(PATHS[model] for model in MODEL_DIRS), "/echo", *OWN]
    for body in CORPUS:
        for path in paths:
            asker.post(path, body)

    @settings(max_examples=MUTATIONS, deadline=None, database=None, phases=[Phase.generate], derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(
        body=mutated(),
        path=st.sampled_from(paths),
        kind=st.sampled_from(["application/json"] * 20 + TYPES),
    )
    def mutate(body: bytes, path: str, kind: str) -> None:
        asker.post(path, body, kind)

    mutate()
    asker.connection.close()
    figure(
        f"{asker.statuses.total():,} malformed and hostile bodies on {len(paths)} routes",
        f"{asker.families()}, {len(asker.wrong)} dropped, not JSON or telling of the inside",
        believed_by_a_handler(tmp_path),
    )
    assert asker.messages() == []
    assert (daemon.workers(), "Traceback" in daemon.said) == (workers, False)
    assert asker.statuses.total() > MUTATIONS + len(CORPUS) * len(paths) - 100


def believed_by_a_handler(directory: Path) -> str:
    """The control: what the document's handler answers to the same corpus."""
    (directory / "models").mkdir()
    (directory / "data").symlink_to(ROOT / "data")
    (directory / FILE).write_bytes(train())
    with Naive(directory, "document") as server:
        until(lambda: server.status("/predict") == 405, 60)
        asker = Asker(server)
        for body in CORPUS[:: times(1, 5)]:
            asker.post("/predict", body)
    failed = sum(count for status, count in asker.statuses.items() if status >= 500)
    assert failed > 0
    return f"Flask and pandas: {failed} of {asker.statuses.total()} are 5xx, {len(asker.wrong)} are HTML"
