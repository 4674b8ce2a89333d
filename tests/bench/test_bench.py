"""The benchmarks report slow servers and errors, and compare within one round."""

import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from support.commands import ROOT
from support.models import MODEL_DIRS, setting
from support.server import JSON, Server

sys.path.insert(0, str(ROOT / "bench"))
from baseline import VERDICT, serve_line  # noqa: E402
from load import Load, load, parse_output  # noqa: E402
from measure import Ratio, alternate, makefile_value, models, ratio, table, verdict  # noqa: E402

APPLICATION = """
import time


def fast(msg):
    return {"rows": len(msg.payload["instances"])}


def slow(msg):
    time.sleep(0.004)
    return fast(msg)


def broken(msg):
    raise RuntimeError("out of order")
"""
BODY = b'{"payload": {"instances": [[1, 2]]}}'
WRK_OUTPUT = """Running 1s test @ http://127.0.0.1:5200/x
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
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real server with a fast, a slow and a broken route."""
    directory = tmp_path_factory.mktemp("bench")
    (directory / "app.py").write_text(APPLICATION)
    with Server(directory, "fast:app:fast,slow:app:slow,broken:app:broken") as server:
        yield server.wait_until_ready(10)


def measure(server: Server, route: str, body: bytes = BODY) -> Load:
    """Return the load of one second on four connections."""
    # The first 404 imports Flask. On a busy machine, the import takes longer than the load.
    server.post(f"/{route}", body)
    return load(f"{server.url}/{route}", JSON, [body, body], 4, 1)


@pytest.mark.serial
@needs_wrk
def test_load_shows_a_slowed_function(server: Server) -> None:
    fast = measure(server, "fast")
    slow = measure(server, "slow")
    assert fast.errors == slow.errors == 0
    assert slow.throughput < fast.throughput / 2
    assert slow.p50 > max(4, fast.p50)
    assert serve_line("model", (1, 4), [slow], [fast])[VERDICT] == "no"
    assert serve_line("model", (1, 4), [fast], [slow])[VERDICT] == "yes"


@needs_wrk
@pytest.mark.parametrize("route", ["broken", "nowhere"])
def test_load_counts_answers_that_are_errors(server: Server, route: str) -> None:
    assert measure(server, route).errors > 0


@needs_wrk
@pytest.mark.parametrize("body", [b"{}", b"[", b""])
def test_load_counts_answers_to_a_wrong_body_as_errors(server: Server, body: bytes) -> None:
    assert measure(server, "fast", body).errors > 0


def test_parse_output_reads_all_figures_of_wrk() -> None:
    expected = Load(throughput=998.5, p50=0.812, p99=1200.0, errors=12)
    assert parse_output(WRK_OUTPUT) == expected


@pytest.mark.parametrize("missing", ["Requests/sec:    998.50\n", "     50%  812.00us\n"])
def test_parse_output_raises_when_figures_are_missing(missing: str) -> None:
    with pytest.raises(ValueError, match="wrk printed no figures"):
        parse_output(WRK_OUTPUT.replace(missing, ""))


def test_ratio_compares_round_with_round() -> None:
    assert ratio([2, 30, 8], [1, 10, 2]) == Ratio(median=3, least=2, most=4)
    assert str(Ratio(3, 2, 4)) == "3.00 (2.00-4.00)"


def test_alternate_calls_candidates_by_turns_and_none_is_always_first() -> None:
    calls: list[str] = []

    def call(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    candidates = {name: partial(call, name) for name in "abc"}
    assert alternate(candidates, 3) == {"a": [1, 6, 8], "b": [2, 4, 9], "c": [3, 5, 7]}
    assert "".join(calls) == "abcbcacab"


@pytest.mark.parametrize(
    ("value", "goal", "at_most", "expected"),
    [
        (1.3, 1.3, True, "yes"),
        (1.31, 1.3, True, "no"),
        (0.8, 0.8, False, "yes"),
        (0.79, 0.8, False, "no"),
    ],
)
def test_verdict_includes_the_goal_itself(
    value: float, goal: float, at_most: bool, expected: str
) -> None:
    assert verdict(value, goal, at_most) == expected


def test_table_is_aligned_or_in_markdown() -> None:
    rows = [{"server": "a", "p50": 1}, {"server": "floor", "p50": 10}]
    assert table(rows).splitlines() == ["  server  p50", "  a       1  ", "  floor   10 "]
    assert table(rows, markdown=True).splitlines()[:2] == ["| server | p50 |", "|---|---|"]


def test_models_are_those_of_the_makefiles() -> None:
    assert models() == {setting(name, "MODEL_NAME"): name for name in MODEL_DIRS}


def test_makefile_value_raises_when_a_name_is_missing() -> None:
    with pytest.raises(LookupError, match="all/Makefile: no line 'MODEL :="):
        makefile_value("all", "MODEL")


def peer_directories() -> list[Path]:
    """Return the folders of the peers."""
    return sorted(path.parent for path in (ROOT / "bench/peers").glob("*/request.py"))


def test_every_peer_can_be_installed_asked_and_started() -> None:
    directories = peer_directories()
    assert directories != []
    for directory in directories:
        files = {file.name for file in directory.iterdir()}
        assert {"requirements.txt", "request.py", "start.sh"} <= files, directory.name
