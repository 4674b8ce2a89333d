"""BASELINE: the comparison reports the slower of the two checkouts."""

import shutil
import sys
from functools import partial
from pathlib import Path

import pytest
from support.commands import ROOT, run
from support.models import FASTEST, setting

sys.path.insert(0, str(ROOT / "bench"))
import serve  # noqa: E402
from baseline import VERDICT, EndpointProcess, predict_line, serve_line  # noqa: E402
from candidates import running  # noqa: E402
from load import Load, post  # noqa: E402
from measure import alternate, milliseconds, rows_of_data  # noqa: E402
from predict import request_body  # noqa: E402

MODEL = setting(FASTEST, "MODEL_NAME")
DELAY_MS = 20
# This delays the answer of every function that `served` decorates.
SLOWER = f"""
import time
_fast = served


def served(name):
    def decorate(function):
        def delayed(msg, model):
            time.sleep({DELAY_MS / 1000})
            return function(msg, model)

        return _fast(name)(delayed)

    return decorate
"""


def slow_down(checkout: Path) -> None:
    """Delay every answer of a checkout."""
    with open(checkout / "utils/serving.py", "a") as file:
        file.write(SLOWER)


@pytest.fixture(scope="module")
def slow_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout's prediction code with slower answers."""
    checkout = tmp_path_factory.mktemp("baseline")
    for name in ("utils", "builders"):
        shutil.copytree(ROOT / name, checkout / name)
    slow_down(checkout)
    return checkout


def measure_endpoints(slow: Path, folder: Path) -> dict[str, list[float]]:
    """Return the times of this checkout and of the slow copy, in ms by round."""
    body = request_body(rows_of_data(1))
    with (
        EndpointProcess(ROOT, MODEL, folder) as own_endpoint,
        EndpointProcess(slow, MODEL, folder) as slow_endpoint,
    ):
        candidates = {
            "own": partial(own_endpoint.measure, body),
            "slow": partial(slow_endpoint.measure, body),
        }
        return alternate(candidates, 2)


@pytest.mark.serial
def test_endpoint_of_slowed_checkout_is_reported_as_slower(
    slow_checkout: Path, trained: Path
) -> None:
    values = measure_endpoints(slow_checkout, trained)
    assert min(values["slow"]) > DELAY_MS
    assert predict_line(MODEL, 1, values["slow"], values["own"])[VERDICT] == "no"
    assert predict_line(MODEL, 1, values["own"], values["slow"])[VERDICT] == "yes"


def test_endpoint_process_raises_when_request_is_not_answered(trained: Path) -> None:
    with (
        EndpointProcess(ROOT, MODEL, trained) as endpoint,
        pytest.raises(RuntimeError, match="ended without an answer"),
    ):
        endpoint.measure(b"{}")


@pytest.mark.parametrize(
    ("own_ms", "expected"), [([1.04, 1.05, 9.0], "yes"), ([1.0, 1.06, 1.06], "no")]
)
def test_predict_line_compares_median_time_with_five_percent(
    own_ms: list[float], expected: str
) -> None:
    line = predict_line(MODEL, 1, own_ms, [1.0, 1.0, 1.0])
    assert line[VERDICT] == line["at most 5 % slower"] == expected


@pytest.mark.parametrize(
    ("throughput", "errors", "expected"),
    [(950.0, 0, "yes"), (940.0, 0, "no"), (2000.0, 1, "void")],
)
def test_serve_line_compares_throughput_with_five_percent(
    throughput: float, errors: int, expected: str
) -> None:
    own = Load(throughput, 2.0, 3.0, errors)
    line = serve_line(MODEL, (1, 16), [own], [Load(1000.0, 1.0, 2.0, 0)])
    assert line["at most 5 % slower"] == expected
    assert line["p50, relative to the baseline"] == "2.00 (2.00-2.00)"


def test_baseline_server_runs_its_own_code_with_models_of_this_checkout(
    clone: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_down(clone)
    monkeypatch.setattr(serve, "ROOT", trained)
    monkeypatch.setattr(serve, "MODELS", {MODEL: FASTEST})
    serve.build_baseline(clone)
    servers = serve.model_candidates(clone, serve.BASELINE_PREFIX)
    assert list(servers) == [f"baseline {MODEL}"]
    with running(servers):
        candidate = servers[f"baseline {MODEL}"]
        path, headers, body = candidate.request(rows_of_data(1))
        status, answer = post(candidate.server.url + path, headers, body)
        time = milliseconds(lambda: post(candidate.server.url + path, headers, body))
    assert (status, b"predictions" in answer) == (200, True)
    assert time > DELAY_MS


def test_run_sh_rejects_baseline_that_is_no_checkout(tmp_path: Path) -> None:
    done = run(ROOT / "bench/run.sh", "predict", env={"BASELINE": str(tmp_path)})
    assert (done.returncode, done.stdout) == (2, "")
    expected = "expected the root folder of another checkout of this repository"
    assert done.stderr == f"run.sh: BASELINE={tmp_path}: {expected}\n"
