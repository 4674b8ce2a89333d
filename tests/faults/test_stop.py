"""SIGTERM under load from 64 clients: neither those that heed /ready nor those that don't lose what was accepted."""

import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from clients import INSTANCES, Application, Load, Naive, variants
from support.daemon import Daemon, until
from support.figures import Figure, times

RUNS = times(20, 2)
STOCK_RUNS = times(5, 1)
DRAIN_SECONDS = 1


@pytest.fixture
def directory(trained: Path, tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    variants(trained, tmp_path, "m0")
    return tmp_path


def stopped(daemon: Daemon, honour: bool) -> Counter[str]:
    """What became of the requests of 64 clients while a server stopped; `late` and `code` tell of its end."""
    with daemon.ready(), Load(daemon.port, ["/m0"], INSTANCES, honour=honour) as load:
        time.sleep(0.5)
        started = time.monotonic()
        daemon.process.terminate()
        code = daemon.ended()
        seconds = time.monotonic() - started
        assert seconds < DRAIN_SECONDS + 15
    kinds = {200: "answered", 0: "lost", -1: "refused"}
    seen = Counter(kinds.get(outcome.status, "failed") for outcome in load.outcomes)
    return seen + Counter(late=seconds > DRAIN_SECONDS + 2, code=code)


def ours(directory: Path, honour: bool) -> Counter[str]:
    return stopped(
        Application(directory, "m0", DRAIN_SECONDS=str(DRAIN_SECONDS), WORKERS="2"), honour
    )


def stock(directory: Path, honour: bool) -> Counter[str]:
    return stopped(Naive(directory, "stock", "m0", WORKERS="2"), honour)


@pytest.mark.parametrize("honour", [True, False], ids=["heed", "ignore"])
def test_clients_lose_nothing_when_the_server_stops(
    directory: Path, figure: Figure, honour: bool
) -> None:
    seen = sum((ours(directory, honour) for _ in range(RUNS)), Counter())
    control = sum((stock(directory, honour) for _ in range(STOCK_RUNS)), Counter())
    clients = "heed /ready" if honour else "ignore /ready"
    figure(
        f"SIGTERM, 64 clients that {clients}, {RUNS} times",
        f"{seen['answered']:,} answered, {seen['lost'] + seen['failed']} lost, {seen['late']} slower than drain + 2 s",
        f"gunicorn with uvicorn's worker, {STOCK_RUNS} times: {control['lost']} lost",
    )
    assert seen["answered"] > 100 * RUNS
    assert (seen["lost"], seen["failed"], seen["code"]) == (0, 0, 0)
    assert not honour or seen["refused"] == 0
    assert control["lost"] + control["refused"] * honour > 0


class Late(Application):
    """The daemon with workers that hear no signal for a second after their fork."""

    module = ("late",)


class StockLate(Late):
    module = ("late", "stock")


def seconds_to_end(daemon: Daemon, most: float) -> float:
    """How long a server takes to end that is told so while its workers can't hear; `most` if it hasn't by then."""
    with daemon:
        until(lambda: len(daemon.workers()) == 2, 20)
        started = time.monotonic()
        daemon.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            daemon.ended(most)
        daemon.process.kill()
        return time.monotonic() - started


def test_a_server_ends_that_is_told_so_while_it_starts(directory: Path, figure: Figure) -> None:
    seconds = [seconds_to_end(Late(directory, "m0", WORKERS="2"), 15) for _ in range(times(10, 2))]
    control = seconds_to_end(StockLate(directory, "m0", WORKERS="2"), 6)
    figure(
        f"SIGTERM while workers start, {len(seconds)} times",
        f"ended after {max(seconds):.1f} s at most",
        f"gunicorn's own arbiter: {control:.0f} s later still there",
    )
    assert max(seconds) < 5 < control
