"""A server under load: its model is swapped, its workers are killed; does it grow?

MINUTES sets the duration; the default of `make soak` is 10. Every 10 s, a model is swapped. Every
minute, a worker is killed.
"""

import os
import signal
import time
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from support.fault_servers import models_folder, versions_server
from support.figures import Figure, times
from support.load import Load, Outcome
from support.models import MODEL_DIRS, example_body, replace_model_file
from support.processes import memory_mb, open_files, status_fields
from support.server import Server

SECONDS = 60 * float(os.environ.get("MINUTES") or times(1, 0.2))
LEAK_SECONDS = min(SECONDS, 7)
SWAP_SECONDS = min(10, SECONDS / 6)
KILL_SECONDS = min(60, SECONDS / 2.5)
WARM_UP = 0.4
# During the first 160 swaps or so, each swap leaves some memory in the allocator. Afterwards the
# memory stays constant (measured).
MORE_MB = 4.0


class Sample(NamedTuple):
    """A worker's resources at some moment, or their growth."""

    megabytes: float
    descriptors: float
    threads: float


def sample(pid: int) -> Sample:
    """Return a worker's present resources."""
    return Sample(memory_mb(pid), open_files(pid), int(status_fields(pid)["Threads"]))


class Soak:
    """A server under moderate load.

    `samples` are of its oldest worker, `killed` are the process ids of its youngest ones.
    """

    def __init__(self, server: Server, route: str, body: bytes):
        self.server = server
        self.oldest = server.wait_until_ready(workers=2).worker_pids()[0]
        self.load = Load(server.port, [route], body, clients=8, pause=0.02, turns=50)
        self.load.keep = self.keep
        self.samples: list[Sample] = []
        self.killed: list[int] = []
        self.swaps = 0

    def keep(self, outcome: Outcome) -> None:
        """Keep an outcome without its texts, which would fill the test's memory."""
        self.load.outcomes.append(outcome._replace(headers="", body=b""))

    def run(self, seconds: float, directory: Path, files: list[bytes]) -> Self:
        """Swap the model and kill workers until the time is over."""
        started = time.monotonic()
        passed = 0.0
        with self.load:
            while passed < seconds:
                if passed > (self.swaps + 1) * SWAP_SECONDS:
                    self.swaps += 1
                    content = files[self.swaps % 2]
                    replace_model_file(directory / "models/m0.pkl", content)

                if passed > (len(self.killed) + 1) * KILL_SECONDS:
                    youngest = self.server.worker_pids()[-1]
                    self.killed.append(youngest)
                    os.kill(youngest, signal.SIGKILL)

                self.samples.append(sample(self.oldest))
                time.sleep(seconds / 200)
                passed = time.monotonic() - started
        return self

    def unexplained(self) -> list[Outcome]:
        """Return the requests that were lost for another reason than a killed worker."""
        explained = (*self.killed, 0)
        return [
            outcome
            for outcome in self.load.outcomes
            if outcome.status != 200 and outcome.worker not in explained
        ]

    def growth(self) -> Sample:
        """Return the growth from the first fifth of the samples to the last fifth.

        Both are medians, without the warm-up.
        """
        warm = np.array(self.samples[int(len(self.samples) * WARM_UP) :])
        fifth = max(1, len(warm) // 5)
        first = np.median(warm[:fifth], axis=0)
        last = np.median(warm[-fifth:], axis=0)
        return Sample(*(last - first))

    def p99_milliseconds(self) -> list[float]:
        """Return the p99 of the first and of the second half's answers."""
        answered = [outcome for outcome in self.load.outcomes if outcome.status == 200]
        milliseconds = [1000 * outcome.seconds for outcome in answered]
        halves = np.array_split(milliseconds, 2)
        return [float(np.percentile(half, 99)) for half in halves]


def leak(directory: Path, files: list[bytes], function: str) -> Sample:
    """Return the growth of a server whose function leaks."""
    with versions_server(directory, "m0", functions=(function,), WORKERS="2") as server:
        soak = Soak(server, f"/{function}", b'{"payload": 1}')
        return soak.run(LEAK_SECONDS, directory, files).growth()


def soak_server(directory: Path, files: list[bytes]) -> Soak:
    """Soak the predict server; check that it and its oldest worker still run."""
    with versions_server(directory, "m0", WORKERS="2") as server:
        soak = Soak(server, "/m0", example_body(MODEL_DIRS[0]))
        soak.run(SECONDS, directory, files)
        assert soak.oldest in server.worker_pids()
        assert server.status() == 200
    return soak


def test_nothing_grows_while_models_are_swapped_and_workers_killed(
    tmp_path: Path, trained: Path, figure: Figure
) -> None:
    files = models_folder(trained, tmp_path, "m0")["m0"]
    soak = soak_server(tmp_path, files)
    grown = soak.growth()
    early, late = soak.p99_milliseconds()
    unexplained = soak.unexplained()

    memory_leak = leak(tmp_path, files, "leak_memory")
    descriptor_leak = leak(tmp_path, files, "leak_descriptor")

    name = f"soak, {SECONDS / 60:g} min, {len(soak.killed)} workers killed"
    figure(
        f"{name}: errors",
        f"{len(unexplained)} unexplained in {len(soak.load.outcomes):,} requests",
    )
    figure(
        f"{name}: memory",
        f"{grown.megabytes:+.2f} MB",
        f"a leaking function: {memory_leak.megabytes:+.0f} MB",
    )
    figure(
        f"{name}: descriptors, threads",
        f"{grown.descriptors:+.0f}, {grown.threads:+.0f}",
        f"a leaking function: {descriptor_leak.descriptors:+.0f} descriptors",
    )
    figure(f"{name}: p99, first and second half", f"{early:.1f} ms, {late:.1f} ms")

    assert unexplained == []
    assert soak.load.count(200) > 10 * SECONDS
    assert grown.megabytes < MORE_MB
    assert abs(grown.descriptors) < 10
    assert grown.threads <= 1
    assert memory_leak.megabytes > MORE_MB
    assert descriptor_leak.descriptors > 50
