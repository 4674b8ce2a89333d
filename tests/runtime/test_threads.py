"""The threads of the libraries that train: CPU limit, variables, libraries."""

import json
import math
import os
import sys
from pathlib import Path

import pytest
from runtime.threads import available_cpus, cpu_limit, set_threads
from support.commands import ROOT, output_of, run

V1 = {"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}
# A fit starts the threads of OpenMP, BLAS and joblib.
APPLICATION = """
import json
import joblib
import numpy
import scipy.linalg
import threadpoolctl
import xgboost
from sklearn.ensemble import HistGradientBoostingClassifier

def train(msg):
    pools = threadpoolctl.threadpool_info()
    threads = {pool["internal_api"]: pool["num_threads"] for pool in pools}
    print(json.dumps({**threads, "joblib": joblib.cpu_count()}))
"""
# Each prediction starts OpenMP's threads, which then wait for the next one.
WAITING = """
import time
import numpy
import xgboost

def train(msg):
    data = numpy.arange(2000.0).reshape(500, 4)
    model = xgboost.XGBClassifier(n_estimators=5).fit(data, data[:, 0] > 1000)
    before = time.process_time()
    for _ in range(200):
        model.get_booster().inplace_predict(data)
        time.sleep(0.002)
    print(time.process_time() - before)
"""

needs_two_cpus = pytest.mark.skipif(available_cpus() < 2, reason="it compares one CPU with two")


def write_cgroup(root: Path, files: dict[str, str]) -> None:
    """Write the files of a container's cgroup."""
    (root / "cpu").mkdir()
    for name, content in files.items():
        (root / name).write_text(content)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "200000 100000\n"}, 2.0),
        ({"cpu.max": "250000 100000\n"}, 2.5),
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu.max": "800000 200000\n"}, 4.0),
        ({"cpu.max": ""}, math.inf),
        (V1, 3.0),
        ({**V1, "cpu/cpu.cfs_quota_us": "-1\n"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "300000\n"}, math.inf),
        ({**V1, "cpu.max": "200000 100000\n"}, 2.0),
        ({}, math.inf),
    ],
)
def test_cpu_limit_is_the_quota_of_the_cgroup(
    tmp_path: Path, files: dict[str, str], expected: float
) -> None:
    write_cgroup(tmp_path, files)
    assert cpu_limit(tmp_path) == expected


@pytest.mark.parametrize(
    ("quota", "expected"), [(20_000, 1), (100_000, 1), (150_000, 2), (300_000, 3), (900_000, 4)]
)
def test_available_cpus_are_those_of_the_affinity_within_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: int, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 4, 5}, raising=False)
    write_cgroup(tmp_path, {"cpu.max": f"{quota} 100000\n"})
    assert available_cpus(tmp_path) == expected


def test_available_cpus_are_counted_where_no_affinity_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert available_cpus(tmp_path) == 6


def test_threads_are_set_unless_the_user_has_set_them() -> None:
    cpus = str(available_cpus())
    variables = {"OMP_WAIT_POLICY": "active", "OMP_NUM_THREADS": "", "OTHER": "1"}
    set_threads(variables)
    assert variables == {
        "OMP_WAIT_POLICY": "active",
        "OMP_NUM_THREADS": cpus,
        "LOKY_MAX_CPU_COUNT": cpus,
        "OTHER": "1",
    }


def train(directory: Path, application: str, *prefix: str, **variables: str) -> str:
    """Run the train runner on an application and return its output."""
    (directory / "app.py").write_text(application)
    environment = {
        "PYTHONPATH": str(ROOT / "builders"),
        "TRAIN": "1",
        "TRAIN_MODULE": "app",
        "TRAIN_FUNCTION": "train",
        **variables,
    }
    command = (*prefix, sys.executable, "-m", "runtime.train")
    return output_of(run(*command, cwd=directory, env=environment, seconds=120))


def thread_counts(directory: Path, *prefix: str, **variables: str) -> dict[str, int]:
    """Return the number of threads of each library in a training."""
    counts: dict[str, int] = json.loads(train(directory, APPLICATION, *prefix, **variables))
    assert {"openmp", "openblas", "joblib"} <= set(counts)
    return counts


def test_every_library_has_as_many_threads_as_cpus(tmp_path: Path) -> None:
    assert set(thread_counts(tmp_path).values()) == {available_cpus()}
    one_cpu = ("taskset", "--cpu-list", str(min(os.sched_getaffinity(0))))
    assert set(thread_counts(tmp_path, *one_cpu).values()) == {1}


@needs_two_cpus
def test_thread_count_of_the_user_reaches_openmp_and_blas(tmp_path: Path) -> None:
    counts = thread_counts(tmp_path, OMP_NUM_THREADS="1")
    assert (counts["openmp"], counts["openblas"]) == (1, 1)
    # OpenBLAS would ignore the user's number if it got one of its own.
    counts = thread_counts(tmp_path, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="2")
    assert (counts["openmp"], counts["openblas"]) == (1, 2)


@needs_two_cpus
def test_waiting_threads_use_no_cpu(tmp_path: Path) -> None:
    waiting = float(train(tmp_path, WAITING))
    # Without the train runner, OpenMP has its default policy.
    program = "import app; app.train(None)"
    spinning = float(output_of(run(sys.executable, "-c", program, cwd=tmp_path, seconds=120)))
    assert spinning > 2 * waiting
