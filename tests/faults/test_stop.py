"""SIGTERM under load from 64 clients: neither those that heed /ready nor those that don't lose what was accepted."""

import time
from collections import Counter
from pathlib import Path

import pytest
from clients import INSTANCES, Application, Load, Naive, variants
from daemon import Daemon
from figures import Figure, times

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
    return stopped(Application(directory, "m0", DRAIN_SECONDS=str(DRAIN_SECONDS), WORKERS="2"), honour)


def stock(directory: Path, honour: bool) -> Counter[str]:
    return stopped(Naive(directory, "stock", "m0", WORKERS="2"), honour)


@pytest.mark.parametrize("honour", [True, False], ids=["heed", "ignore"])
def test_clients_lose_nothing_when_the_server_stops(directory: Path, figure: Figure, honour: bool) -> None:
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
