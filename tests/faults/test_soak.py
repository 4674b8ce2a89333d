"""A server that serves on and on, while its model is swapped every 10 s and a worker killed every minute: what grows?

MINUTES sets how long; `make soak` takes 10.
"""

import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from clients import INSTANCES, Application, Load, Outcome, complete, fields, memory, put, variants
from support.daemon import Daemon
from support.figures import Figure, times

SECONDS = 60 * float(os.environ.get("MINUTES") or times(1, 0.2))
LEAK_SECONDS = min(SECONDS, 7)
SWAP_SECONDS, KILL_SECONDS = min(10, SECONDS / 6), min(60, SECONDS / 2.5)
WARM_UP = 0.4
# Each swap leaves a little in the allocator until some 160 swaps are over; then memory stays as it is (measured).
MORE_MB = 4.0


class Sample(NamedTuple):
    """A worker at some moment."""

    megabytes: float
    descriptors: int
    threads: int


def sample(pid: int) -> Sample:
    return Sample(memory(pid), len(os.listdir(f"/proc/{pid}/fd")), int(fields(pid)["Threads"]))


class Soak:
    """A daemon under moderate load; `samples` are of its oldest worker, `killed` are its youngest."""

    def __init__(self, daemon: Daemon, route: str, body: bytes):
        self.daemon = daemon
        self.oldest = complete(daemon).workers()[0]
        self.load = Load(daemon.port, [route], body, clients=8, pause=0.02, turns=50)
        self.load.keep = lambda outcome: self.load.outcomes.append(outcome._replace(body=b""))
        self.samples: list[Sample] = []
        self.killed: list[int] = []

    def run(self, seconds: float, directory: Path, files: list[bytes]) -> "Soak":
        """Swaps and kills until the time is over."""
        began = time.monotonic()
        swaps = 0
        with self.load:
            while (now := time.monotonic() - began) < seconds:
                if now > (swaps + 1) * SWAP_SECONDS:
                    swaps += 1
                    put(directory, "m0", files[swaps % 2])
                if now > (len(self.killed) + 1) * KILL_SECONDS:
                    self.killed.append(self.daemon.workers()[-1])
                    os.kill(self.killed[-1], signal.SIGKILL)
                self.samples.append(sample(self.oldest))
                time.sleep(seconds / 200)
        return self

    def unexplained(self) -> list[Outcome]:
        """The requests that were lost, but not with a killed worker."""
        return [
            o for o in self.load.outcomes if o.status != 200 and o.worker not in (*self.killed, 0)
        ]

    def growth(self) -> Sample:
        """What the last fifth has more than the first fifth after warming up (medians)."""
        table = np.array(self.samples[int(len(self.samples) * WARM_UP) :])
        fifth = max(1, len(table) // 5)
        return Sample(*(np.median(table[-fifth:], axis=0) - np.median(table[:fifth], axis=0)))

    def p99(self) -> list[float]:
        """The milliseconds below which 99 % of the answers stay, in the first and the second half."""
        halves = np.array_split(
            [1000 * (o.ended - o.sent) for o in self.load.outcomes if o.status == 200], 2
        )
        return [float(np.percentile(half, 99)) for half in halves]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path


def leaking(directory: Path, files: list[bytes], route: str) -> Sample:
    """The control: what grows behind a function that leaks."""
    with Application(directory, "m0", route, WORKERS="2") as daemon:
        return (
            Soak(daemon, f"/{route}", b'{"payload": 1}')
            .run(LEAK_SECONDS, directory, files)
            .growth()
        )


def test_nothing_grows_while_models_are_swapped_and_workers_killed(
    directory: Path, trained: Path, figure: Figure
) -> None:
    files = variants(trained, directory, "m0")
    with Application(directory, "m0", WORKERS="2") as daemon:
        soak = Soak(daemon, "/m0", INSTANCES).run(SECONDS, directory, files)
        assert soak.oldest in daemon.workers() and daemon.status() == 200
    grown, (early, late) = soak.growth(), soak.p99()
    memory_leak, descriptor_leak = (
        leaking(directory, files, f"leak_{what}") for what in ("memory", "descriptor")
    )
    what = f"soak, {SECONDS / 60:g} min, {len(soak.killed)} workers killed"
    figure(
        f"{what}: errors",
        f"{len(soak.unexplained())} unexplained in {len(soak.load.outcomes):,} requests",
    )
    figure(
        f"{what}: memory",
        f"{grown.megabytes:+.2f} MB",
        f"a leaking function: {memory_leak.megabytes:+.0f} MB",
    )
    figure(
        f"{what}: descriptors, threads",
        f"{grown.descriptors:+.0f}, {grown.threads:+.0f}",
        f"a leaking function: {descriptor_leak.descriptors:+.0f} descriptors",
    )
    figure(f"{what}: p99, first and second half", f"{early:.1f} ms, {late:.1f} ms")
    assert soak.unexplained() == [] and soak.load.count(200) > 10 * SECONDS
    assert (grown.megabytes < MORE_MB, abs(grown.descriptors) < 10, grown.threads <= 1) == (
        True,
        True,
        True,
    )
    assert memory_leak.megabytes > MORE_MB and descriptor_leak.descriptors > 50
