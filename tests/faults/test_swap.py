"""Model files replaced under load, half of them bad: each answer is one good model's, and no request fails."""

import json
import statistics
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app import MODELS
from clients import (
    INSTANCES,
    Application,
    Load,
    Naive,
    Outcome,
    complete,
    digest,
    memory,
    put,
    variants,
)
from conftest import ROOT
from naive import FILE, train
from support.daemon import Daemon, until
from support.figures import Figure, times

from utils.encode_decode import MAGIC, init_model, pickle_model

ROUNDS = times(100, 4)
NAMES = [f"m{i}" for i in range(MODELS)]
ROW = next(row for row in json.loads(INSTANCES)["payload"]["instances"] if isinstance(row, dict))
WARM_UP = ROUNDS // 4


def lying(directory: Path, name: str) -> bytes:
    """A sound file whose golden rows aren't answered as it says."""
    contents = init_model(name, directory / "models")
    contents.pop("digest")
    wrong = {
        **contents["golden"],
        "scores": [scores[::-1] for scores in contents["golden"]["scores"]],
    }
    return pickle_model({**contents, "golden": wrong}, directory / "models").read_bytes()


def sealed(body: bytes) -> bytes:
    """A file whose digest is right, whatever its contents."""
    return body + sha256(body).digest() + MAGIC


SPOILT: list[Callable[[bytes], bytes]] = [
    lambda good: good[: len(good) // 2],
    lambda good: good[:1000] + bytes([good[1000] ^ 4]) + good[1001:],
    lambda good: b'{"learner": {}, "version": [3, 2, 0]}',
    lambda good: b"",
    lambda good: sealed(b"cos\nsystem\n(S'touch ran'\ntR."),
]


class Swaps:
    """Ten models' files, and what the daemon's answers told of them."""

    def __init__(self, directory: Path, trained: Path):
        self.directory = directory
        (directory / "models").mkdir()
        self.good = {name: variants(trained, directory, name) for name in NAMES}
        self.bad = {name: [*(spoil(good[1]) for spoil in SPOILT), lying(directory, name)]
                    for name, good in self.good.items()}  # fmt: skip
        self.names = {digest(good): name for name, both in self.good.items() for good in both}
        self.current = dict.fromkeys(NAMES, 0)
        self.seconds: list[float] = []
        for name in NAMES:
            put(directory, name, self.good[name][0])
        self.scores: dict[str, Any] = {}
        self.shown: dict[tuple[int, str], str] = {}
        self.answers = self.mixed = self.failed = 0

    def keep(self, outcome: Outcome) -> None:
        """Looks at one answer: is it wholly that of the model it names, and a good one's?"""
        self.answers += 1
        if outcome.status != 200:
            self.failed += 1
            return
        payload = json.loads(outcome.body)["payload"]
        scores = self.scores.setdefault(payload["digest"], payload["scores"])
        self.mixed += payload["digest"] not in self.names or scores != payload["scores"]
        self.shown[payload["pid"], self.names.get(payload["digest"], "")] = payload["digest"]

    def round(self, number: int, daemon: Daemon) -> None:
        """Replaces every file, half of them by bad ones, and waits until each worker has seen it."""
        good, bad = NAMES[number % 2 :: 2], NAMES[1 - number % 2 :: 2]
        for name in bad:
            put(self.directory, name, self.bad[name][number // 2 % len(SPOILT + [lying])])
        for name in good:
            self.current[name] = 1 - self.current[name]
            put(self.directory, name, self.good[name][self.current[name]])
        started = time.monotonic()
        expected = {(pid, name): digest(self.good[name][self.current[name]])
                    for pid in daemon.workers() for name in NAMES}  # fmt: skip
        until(lambda: all(self.shown.get(key) == value for key, value in expected.items()), 20)
        self.seconds.append(time.monotonic() - started)
        until(lambda: daemon.said.count("predict: /m") == (number + 1) * MODELS, 20)
        until(
            lambda: problems(daemon) == set(bad), 5
        )  # a problem is logged a moment before it is kept


def problems(daemon: Daemon) -> set[str]:
    """The routes whose model file is refused, by /metrics."""
    return {
        key[1][1:]
        for key, value in daemon.samples().items()
        if key[0] == "predict_model_problem" and value
    }


@pytest.fixture
def swaps(tmp_path: Path, trained: Path) -> Swaps:
    return Swaps(tmp_path, trained)


def test_swapped_model_files(swaps: Swaps, figure: Figure) -> None:
    grown: list[list[float]] = []
    with Application(swaps.directory, *NAMES, WORKERS="2") as daemon:
        load = Load(
            complete(daemon).port,
            [f"/{name}" for name in NAMES],
            INSTANCES,
            clients=8,
            pause=0.005,
            turns=7,
        )
        load.keep = swaps.keep
        with load:
            for number in range(ROUNDS):
                swaps.round(number, daemon)
                grown.append([memory(pid) for pid in daemon.workers()])
    assert not (swaps.directory / "ran").exists()
    growth = np.max(np.array(grown)[-1] - np.array(grown)[WARM_UP])
    figure(
        f"{ROUNDS * MODELS:,} model files replaced under load, half bad, 2 workers",
        f"{swaps.answers:,} answers: {swaps.failed} failed, {swaps.mixed} mixed or of a bad file; on the new file "
        f"after {statistics.median(swaps.seconds):.1f} s, at most {max(swaps.seconds):.1f} s; memory +{growth:.1f} MB",
        opened_for_each_request(swaps.directory),
    )
    assert (swaps.failed, swaps.mixed) == (0, 0)
    assert max(swaps.seconds) < 10 and growth < 16
    assert len({str(scores) for scores in swaps.scores.values()}) == 2


def opened_for_each_request(directory: Path) -> str:
    """The control: a handler that opens a pickle for each request, while that is replaced in place by bad ones."""
    (directory / "data").symlink_to(ROOT / "data")
    good = train()
    file = directory / FILE
    file.write_bytes(good)
    with Naive(directory, "document") as daemon:
        until(lambda: daemon.status("/predict") == 405, 60)
        body = json.dumps({"payload": {"instances": [ROW]}}).encode()
        assert daemon.ask("POST", "/predict", body).status == 200
        with Load(daemon.port, ["/predict"], body, clients=4) as load:
            for spoil in [*SPOILT, bytes] * 3:
                file.write_bytes(spoil(good))
                time.sleep(0.1)
    failed = len(load.outcomes) - load.count(200)
    assert load.count(200) > 0 < failed and (directory / "ran").exists()
    return f"a pickle opened for each request: {failed} of {len(load.outcomes)} fail, one pickle's command ran"
