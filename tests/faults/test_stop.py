"""SIGTERM under load from 64 clients: no accepted request is lost."""

import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from support.applications import routes
from support.commands import wait_until
from support.fault_servers import models_folder, naive_server, versions_server
from support.figures import Figure, times
from support.load import LOST, REFUSED, Load
from support.models import MODEL_DIRS, example_body
from support.server import Server

RUNS = times(20, 2)
STOCK_RUNS = times(5, 1)
STARTS = times(10, 2)
DRAIN_SECONDS = 1
KINDS = {200: "answered", LOST: "lost", REFUSED: "refused"}


@pytest.fixture
def directory(trained: Path, tmp_path: Path) -> Path:
    """A folder with one model."""
    models_folder(trained, tmp_path, "m0")
    return tmp_path


def stop_under_load(server: Server, heed_ready: bool) -> Counter[str]:
    """Stop a server under load; count its requests by outcome.

    `slow` counts a server that took over 2 s longer than its drain. `code` is its exit code.
    """
    body = example_body(MODEL_DIRS[0])
    with (
        server.wait_until_ready(),
        Load(server.port, ["/m0"], body, heed_ready=heed_ready) as load,
    ):
        time.sleep(0.5)
        started = time.monotonic()
        server.process.terminate()
        code = server.wait()
        seconds = time.monotonic() - started
        assert seconds < DRAIN_SECONDS + 15

    counts = Counter(KINDS.get(outcome.status, "failed") for outcome in load.outcomes)
    counts["slow"] = int(seconds > DRAIN_SECONDS + 2)
    counts["code"] = code
    return counts


def stop_ours(directory: Path, heed_ready: bool) -> Counter[str]:
    """Stop the predict server under load."""
    variables = {"DRAIN_SECONDS": str(DRAIN_SECONDS), "WORKERS": "2"}
    return stop_under_load(versions_server(directory, "m0", **variables), heed_ready)


def stop_stock(directory: Path, heed_ready: bool) -> Counter[str]:
    """Stop gunicorn with uvicorn's worker under load."""
    entry = routes("m0", module="versions")
    return stop_under_load(naive_server(directory, "stock", entry, WORKERS="2"), heed_ready)


@pytest.mark.serial
@pytest.mark.parametrize("heed_ready", [True, False], ids=["heed", "ignore"])
def test_clients_lose_nothing_when_the_server_stops(
    directory: Path, figure: Figure, heed_ready: bool
) -> None:
    ours: Counter[str] = Counter()
    for _ in range(RUNS):
        ours.update(stop_ours(directory, heed_ready))

    stock: Counter[str] = Counter()
    for _ in range(STOCK_RUNS):
        stock.update(stop_stock(directory, heed_ready))

    clients = "heed /ready" if heed_ready else "ignore /ready"
    figure(
        f"SIGTERM, 64 clients that {clients}, {RUNS} times",
        f"{ours['answered']:,} answered, {ours['lost'] + ours['failed']} lost, "
        f"{ours['slow']} slower than drain + 2 s",
        f"gunicorn with uvicorn's worker, {STOCK_RUNS} times: {stock['lost']} lost",
    )
    assert ours["answered"] > 100 * RUNS
    assert (ours["lost"], ours["failed"], ours["code"]) == (0, 0, 0)
    if heed_ready:
        assert ours["refused"] == 0
        assert stock["lost"] + stock["refused"] > 0
    else:
        assert stock["lost"] > 0


def seconds_to_end(server: Server, most: float) -> float:
    """Stop a server whose workers handle no signals yet; return the seconds.

    Returns `most` or a little more if it hasn't ended by then.
    """
    with server:
        wait_until(lambda: len(server.worker_pids()) == 2, 20)
        started = time.monotonic()
        server.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(most)
        server.process.kill()
        return time.monotonic() - started


def test_a_server_that_is_stopped_while_it_starts_ends(directory: Path, figure: Figure) -> None:
    seconds = []
    for _ in range(STARTS):
        server = versions_server(directory, "m0", module=("late",), WORKERS="2")
        seconds.append(seconds_to_end(server, 15))

    stock = versions_server(directory, "m0", module=("late", "stock"), WORKERS="2")
    control = seconds_to_end(stock, 6)

    figure(
        f"SIGTERM while workers start, {STARTS} times",
        f"ended after {max(seconds):.1f} s at most",
        f"gunicorn's own arbiter: still running after {control:.0f} s",
    )
    assert max(seconds) < 5 < control
