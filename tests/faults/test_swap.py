"""Model files replaced under load, half of them bad: no request fails."""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.apps.naive import FILE as NAIVE_FILE
from support.apps.versions import NAMES
from support.commands import wait_until
from support.fault_servers import models_folder, naive_server, versions_server, write_naive_model
from support.figures import Figure, times
from support.load import Load, Outcome
from support.models import (
    MODEL_DIRS,
    example_body,
    file_digest,
    instances_body,
    object_row,
    replace_model_file,
    rewrite_model,
    seal,
)
from support.processes import memory_mb
from support.server import Server

from utils.encode_decode import init_model

ROUNDS = times(100, 4)
WARM_UP = ROUNDS // 4
RUNS_A_COMMAND = b"cos\nsystem\n(S'touch ran'\ntR."


def with_reversed_scores(directory: Path, name: str) -> bytes:
    """Return a valid model file whose model gives other answers than its golden rows."""
    golden = init_model(name, directory / "models")["golden"]
    reversed_scores = [scores[::-1] for scores in golden["scores"]]
    return rewrite_model(directory, name, name, golden={**golden, "scores": reversed_scores})


def with_flipped_bit(content: bytes) -> bytes:
    """Return a file in which one bit is different."""
    return content[:1000] + bytes([content[1000] ^ 4]) + content[1001:]


CORRUPTIONS: list[Callable[[bytes], bytes]] = [
    lambda content: content[: len(content) // 2],
    with_flipped_bit,
    lambda content: b'{"learner": {}, "version": [3, 2, 0]}',
    lambda content: b"",
    lambda content: seal(RUNS_A_COMMAND),
]


class Swaps:
    """The good and bad files of ten models, and the server's answers."""

    def __init__(self, directory: Path, trained: Path):
        self.directory = directory
        self.good = models_folder(trained, directory, *NAMES)
        self.bad = {name: self.bad_files(name) for name in NAMES}
        self.names: dict[str, str] = {}
        for name, versions in self.good.items():
            for content in versions:
                self.names[file_digest(content)] = name

        self.version = dict.fromkeys(NAMES, 0)
        for name in NAMES:
            self.put(name, self.good[name][0])

        self.seconds: list[float] = []
        self.scores: dict[str, Any] = {}
        self.served: dict[tuple[int, str], str] = {}
        self.answers = 0
        self.mixed = 0
        self.failed = 0

    def bad_files(self, name: str) -> list[bytes]:
        """Return bad files of one model."""
        corrupt = [corruption(self.good[name][1]) for corruption in CORRUPTIONS]
        return [*corrupt, with_reversed_scores(self.directory, name)]

    def put(self, name: str, content: bytes) -> None:
        """Put a model's file in place."""
        replace_model_file(self.directory / "models" / f"{name}.pkl", content)

    def keep(self, outcome: Outcome) -> None:
        """Check that one answer comes from one good model, the model that it names."""
        self.answers += 1
        if outcome.status != 200:
            self.failed += 1
            return

        payload = json.loads(outcome.body)["payload"]
        digest = payload["digest"]
        first_scores = self.scores.setdefault(digest, payload["scores"])
        if digest not in self.names or payload["scores"] != first_scores:
            self.mixed += 1
        self.served[payload["pid"], self.names.get(digest, "")] = digest

    def replace_all(self, number: int, server: Server) -> None:
        """Replace every file, half of them by bad files, and wait for every worker."""
        bad_names = NAMES[1 - number % 2 :: 2]
        good_names = NAMES[number % 2 :: 2]
        for name in bad_names:
            files = self.bad[name]
            self.put(name, files[number // 2 % len(files)])
        for name in good_names:
            self.version[name] = 1 - self.version[name]
            self.put(name, self.good[name][self.version[name]])

        started = time.monotonic()
        pids = server.worker_pids()
        wait_until(lambda: self.is_served_by(pids), 20)
        self.seconds.append(time.monotonic() - started)

        problems = (number + 1) * len(NAMES)
        wait_until(lambda: server.output.count("predict: /m") == problems, 20)
        # The server logs a problem shortly before the metrics show it.
        wait_until(lambda: routes_with_problem(server) == set(bad_names), 5)

    def is_served_by(self, pids: list[int]) -> bool:
        """Return whether each worker has answered with each model's present version."""
        for name in NAMES:
            digest = file_digest(self.good[name][self.version[name]])
            if any(self.served.get((pid, name)) != digest for pid in pids):
                return False
        return True


def routes_with_problem(server: Server) -> set[str]:
    """Return the routes for which /metrics reports a rejected model file."""
    found = set()
    for key, value in server.metrics().items():
        if key[0] == "predict_model_problem" and value:
            found.add(key[1].removeprefix("/"))
    return found


@pytest.fixture
def swaps(tmp_path: Path, trained: Path) -> Swaps:
    """Ten models in a separate folder for the test."""
    return Swaps(tmp_path, trained)


def replace_under_load(swaps: Swaps) -> float:
    """Replace files for all rounds; return a worker's growth in MB after warm-up."""
    memory: list[list[float]] = []
    paths = [f"/{name}" for name in NAMES]
    body = example_body(MODEL_DIRS[0])
    with versions_server(swaps.directory, *NAMES, WORKERS="2") as server:
        server.wait_until_ready(workers=2)
        load = Load(server.port, paths, body, clients=8, pause=0.005, turns=7)
        load.keep = swaps.keep
        with load:
            for number in range(ROUNDS):
                swaps.replace_all(number, server)
                memory.append([memory_mb(pid) for pid in server.worker_pids()])

    growth = np.array(memory[-1]) - np.array(memory[WARM_UP])
    return float(growth.max())


def test_model_files_replaced_under_load_fail_no_request(swaps: Swaps, figure: Figure) -> None:
    growth = replace_under_load(swaps)
    assert not (swaps.directory / "ran").exists()

    longest = max(swaps.seconds)
    figure(
        f"{ROUNDS * len(NAMES):,} model files replaced under load, half bad, 2 workers",
        f"{swaps.answers:,} answers: {swaps.failed} failed, {swaps.mixed} mixed or of a bad file; "
        f"on the new file after {statistics.median(swaps.seconds):.1f} s, "
        f"at most {longest:.1f} s; memory +{growth:.1f} MB",
        naive_handler(swaps.directory),
    )
    assert (swaps.failed, swaps.mixed) == (0, 0)
    assert longest < 10
    assert growth < 16
    assert len({str(scores) for scores in swaps.scores.values()}) == 2


def naive_handler(directory: Path) -> str:
    """Replace the pickle of a handler that opens it for each request; it must fail."""
    good = write_naive_model(directory)
    body = instances_body([object_row(MODEL_DIRS[0])])
    with naive_server(directory, "document") as server:
        wait_until(lambda: server.status("/predict") == 405, 60)
        assert server.post("/predict", body).status_code == 200
        with Load(server.port, ["/predict"], body, clients=4) as load:
            for corruption in [*CORRUPTIONS, bytes] * 3:
                (directory / NAIVE_FILE).write_bytes(corruption(good))
                time.sleep(0.1)

    tried = len(load.outcomes)
    failed = tried - load.count(200)
    assert load.count(200) > 0
    assert failed > 0
    assert (directory / "ran").exists()
    return f"a pickle opened for each request: {failed} of {tried} fail, one pickle's command ran"
