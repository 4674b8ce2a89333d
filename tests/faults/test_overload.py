"""Three times a worker's full load: the queue is limited, the rest is rejected."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from support.fault_servers import versions_server
from support.figures import Figure, times
from support.load import Outcome, closed_loop, open_loop, p99
from support.network import request_bytes
from support.server import Server

MAX_WAITING = 8
SECONDS = times(20, 2)
# Other processes can slow down the few seconds of a quick run.
NOISE_SECONDS = times(0, 1) * 0.1
# The function is as slow as a large model. With a fast function and large bodies, the machine
# would be busy with the bodies.
WORK = request_bytes("POST", "/work", b'{"payload": 0.02}')


class Overload(NamedTuple):
    """The p99 with a full queue, and the p99 and replies at three times that load."""

    p99_full: float
    p99_over: float
    replies: Counter[tuple[int, str]]

    @property
    def ratio(self) -> float:
        return self.p99_over / self.p99_full


def statuses(outcomes: list[Outcome]) -> set[int]:
    """Return the statuses of some outcomes."""
    return {outcome.status for outcome in outcomes}


def overload(server: Server) -> Overload:
    """Load a server until its queue is just full, then with three times that load."""
    closed_loop(server.port, WORK, MAX_WAITING, 0.5)
    full = closed_loop(server.port, WORK, MAX_WAITING, SECONDS)
    assert statuses(full) == {200}

    rate = 3 * len(full) / SECONDS
    over = open_loop(server.port, WORK, rate, SECONDS)
    replies = Counter((outcome.status, outcome.retry_after) for outcome in over)
    return Overload(p99(full), p99(over), replies)


@pytest.mark.serial
def test_a_bounded_queue_answers_in_time_and_an_unbounded_one_does_not(
    tmp_path: Path, figure: Figure
) -> None:
    bounded = versions_server(tmp_path, functions=("work",), MAX_WAITING=str(MAX_WAITING))
    with bounded as server:
        ours = overload(server.wait_until_ready())
        after = closed_loop(server.port, WORK, MAX_WAITING, SECONDS)
        rejected = server.metrics()["predict_requests_total", "/work", "503"]

    unbounded = versions_server(tmp_path, functions=("work",), MAX_WAITING="1000000")
    with unbounded as server:
        naive = overload(server.wait_until_ready())

    p99_after = p99(after)
    figure(
        f"three times a worker's load for {SECONDS} s, 20 ms each, MAX_WAITING={MAX_WAITING}",
        f"{ours.replies[200, '']} answered, {ours.replies[503, '1']} refused with 503 and "
        f"Retry-After; p99 {ours.p99_over * 1000:.0f} ms, {ours.ratio:.2f} of that at full load, "
        f"{p99_after / ours.p99_full:.2f} right afterwards",
        f"no bound: p99 {naive.p99_over * 1000:.0f} ms, {naive.ratio:.1f} of that at full load",
    )
    assert set(ours.replies) == {(200, ""), (503, "1")}
    assert ours.replies[503, "1"] == rejected > 0
    assert statuses(after) == {200}

    limit = 2 * ours.p99_full + NOISE_SECONDS
    assert ours.p99_over < limit
    assert p99_after < limit

    assert set(naive.replies) == {(200, "")}
    assert naive.p99_over > 2 * naive.p99_full
