"""bench/ sees what it must: a slower server, errors, bodies that are refused; its ratios are of one round each."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from support.daemon import JSON, Daemon

sys.path.insert(0, str(ROOT / "bench"))
from baseline import VERDICT, serve_line  # noqa: E402
from load import Load, load, parsed  # noqa: E402
from measure import Ratio, alternate, ratio, table, verdict  # noqa: E402

APPLICATION = """
import time
def fast(msg): return {"rows": len(msg.payload["instances"])}
def slow(msg): time.sleep(0.004); return fast(msg)
def broken(msg): raise RuntimeError("out of order")
"""
BODY = b'{"payload": {"instances": [[1, 2]]}}'
PRINTED = """Running 1s test @ http://127.0.0.1:5200/x
  Latency Distribution
     50%  812.00us
     75%    1.10ms
     99%    1.20s
  1000 requests in 1.00s, 1.00MB read
  Socket errors: connect 0, read 3, write 0, timeout 2
  Non-2xx or 3xx responses: 7
Requests/sec:    998.50
"""
needs_wrk = pytest.mark.skipif(not shutil.which("wrk"), reason="there is no wrk on the PATH")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A real server with a fast, a slow and a broken route."""
    directory = tmp_path_factory.mktemp("bench")
    (directory / "app.py").write_text(APPLICATION)
    with Daemon(directory, "fast:app:fast,slow:app:slow,broken:app:broken") as daemon:
        yield daemon.ready(10)


def loaded(daemon: Daemon, route: str, body: bytes = BODY) -> Load:
    return load(f"http://127.0.0.1:{daemon.port}/{route}", JSON, [body, body], 4, 1)


@needs_wrk
def test_a_slowed_handler_is_seen(daemon: Daemon) -> None:
    fast, slow = loaded(daemon, "fast"), loaded(daemon, "slow")
    assert fast.errors == slow.errors == 0
    assert slow.throughput < fast.throughput / 2 and slow.p50 > max(4, fast.p50)
    assert serve_line("model", (1, 4), [slow], [fast])[VERDICT] == "no"
    assert serve_line("model", (1, 4), [fast], [slow])[VERDICT] == "yes"


@needs_wrk
def test_answers_that_are_errors_are_counted(daemon: Daemon) -> None:
    assert loaded(daemon, "broken").errors > 0
    assert loaded(daemon, "nowhere").errors > 0


@needs_wrk
@pytest.mark.parametrize("body", [b"{}", b"[", b""])
def test_a_wrong_body_is_counted_as_errors(daemon: Daemon, body: bytes) -> None:
    assert loaded(daemon, "fast", body).errors > 0


def test_all_that_wrk_prints_is_read() -> None:
    assert parsed(PRINTED) == Load(throughput=998.5, p50=0.812, p99=1200.0, errors=12)


@pytest.mark.parametrize("missing", ["Requests/sec:    998.50\n", "     50%  812.00us\n"])
def test_figures_that_are_missing_are_no_figures(missing: str) -> None:
    with pytest.raises(ValueError, match="wrk printed no figures"):
        parsed(PRINTED.replace(missing, ""))


def test_a_ratio_compares_round_with_round() -> None:
    assert ratio([2, 30, 8], [1, 10, 2]) == Ratio(median=3, least=2, most=4)
    assert str(Ratio(3, 2, 4)) == "3.00 (2.00-4.00)"


def test_candidates_take_turns_and_none_is_always_first() -> None:
    calls: list[str] = []
    candidates = {name: lambda name=name: calls.append(name) or float(len(calls)) for name in "abc"}
    assert alternate(candidates, 3) == {"a": [1, 6, 8], "b": [2, 4, 9], "c": [3, 5, 7]}
    assert "".join(calls) == "abcbcacab"


def test_a_goal_is_reached_or_not() -> None:
    assert [
        verdict(1.3, 1.3, True),
        verdict(1.31, 1.3, True),
        verdict(0.8, 0.8, False),
        verdict(0.79, 0.8, False),
    ] == [
        "yes",
        "no",
        "yes",
        "no",
    ]


def test_a_table_is_for_people_and_for_markdown() -> None:
    rows = [{"server": "a", "p50": 1}, {"server": "floor", "p50": 10}]
    assert table(rows).splitlines() == ["  server  p50", "  a       1  ", "  floor   10 "]
    assert table(rows, markdown=True).splitlines()[:2] == ["| server | p50 |", "|---|---|"]


def test_every_peer_says_how_to_start_it_and_what_to_send() -> None:
    for peer in sorted(path.parent for path in Path(ROOT / "bench" / "peers").glob("*/request.py")):
        assert {"requirements.txt", "request.py", "start.sh"} <= {
            file.name for file in peer.iterdir()
        }, peer.name
