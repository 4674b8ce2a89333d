"""Three times the load that a worker can take: a bounded queue answers what it takes in time and refuses the rest."""

from collections import Counter
from pathlib import Path

from clients import Application
from support.figures import Figure, times
from traffic import closed_loop, open_loop, p99, request

WAITING = 8
SECONDS = times(20, 2)
# As slow as a large model: with a fast one and large bodies the machine would be busy carrying these.
WORK = request("POST", "/work", b'{"payload": 0.02}')


def overload(port: int) -> tuple[float, float, Counter[tuple[int, str]]]:
    """p99 when the queue is just full, p99 at three times that load, and what was answered then."""
    closed_loop(port, WORK, WAITING, 0.5)
    full = closed_loop(port, WORK, WAITING, SECONDS)
    assert {reply.status for reply in full} == {200}
    over = open_loop(port, WORK, 3 * len(full) / SECONDS, SECONDS)
    return p99(full), p99(over), Counter((reply.status, reply.retry_after) for reply in over)


def test_a_bounded_queue_answers_in_time_and_an_unbounded_one_does_not(
    tmp_path: Path, figure: Figure
) -> None:
    noise = times(0, 1) * 0.1
    with Application(tmp_path, "work", MAX_WAITING=str(WAITING)) as daemon:
        full, over, answers = overload(daemon.ready().port)
        after = closed_loop(daemon.port, WORK, WAITING, SECONDS)
        assert daemon.samples()["predict_requests_total", "/work", "503"] == answers[503, "1"] > 0
    assert set(answers) == {(200, ""), (503, "1")} and {reply.status for reply in after} == {200}
    assert over < 2 * full + noise and p99(after) < 2 * full + noise
    with Application(tmp_path, "work", MAX_WAITING="1000000") as daemon:
        naive_full, naive_over, naive_answers = overload(daemon.ready().port)
    assert set(naive_answers) == {(200, "")} and naive_over > 2 * naive_full
    figure(
        f"three times a worker's load for {SECONDS} s, 20 ms each, MAX_WAITING={WAITING}",
        f"{answers[200, '']} answered, {answers[503, '1']} refused with 503 and Retry-After; p99 {over * 1000:.0f} ms, "
        f"{over / full:.2f} of that at full load, {p99(after) / full:.2f} right afterwards",
        f"no bound: p99 {naive_over * 1000:.0f} ms, {naive_over / naive_full:.1f} of that at full load",
    )
