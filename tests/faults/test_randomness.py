"""Workers draw different random numbers from the generators that they share."""

import os
import signal
from pathlib import Path

import pytest
import requests
from support.applications import PYTHONPATH, routes, write_application
from support.commands import wait_until
from support.fault_servers import naive_server
from support.server import Server

ROUTES = routes("draw", module="draws")
KINDS = {"random", "numpy", "own", "generator", "state"}
Draws = dict[int, dict[str, float]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A folder with an application that draws random numbers."""
    write_application(tmp_path, "draws")
    return tmp_path


def first_draws(server: Server, workers: int, known: Draws | None = None) -> Draws:
    """Return the first numbers of each worker by process id, including the known ones."""
    draws: Draws = dict(known or {})

    def all_have_drawn() -> bool:
        try:
            payload = server.post("/draw", b'{"payload": 0}').json()["payload"]
        except requests.RequestException:
            return False
        draws.setdefault(payload["pid"], payload["drawn"])
        return len(draws) == workers

    wait_until(all_have_drawn, 10)
    return draws


def same_kinds(draws: Draws) -> set[str]:
    """Return the kinds of generators of which two workers drew the same number."""
    return {kind for kind in KINDS if len({drawn[kind] for drawn in draws.values()}) < len(draws)}


def test_workers_draw_different_numbers(directory: Path) -> None:
    with Server(directory, ROUTES, WORKERS="2") as server:
        server.wait_until_ready(workers=2)
        draws = first_draws(server, 2)
        os.kill(server.worker_pids()[0], signal.SIGKILL)
        draws = first_draws(server, 3, draws)

    assert same_kinds(draws) == set()


def test_workers_of_a_stock_server_draw_the_same_numbers(directory: Path) -> None:
    variables = {"PYTHONPATH": PYTHONPATH, "WORKERS": "2"}
    with naive_server(directory, "stock", ROUTES, **variables) as server:
        server.wait_until_ready(workers=2)
        same = same_kinds(first_draws(server, 2))

    assert same == KINDS
