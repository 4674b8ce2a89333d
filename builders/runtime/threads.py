"""The number of threads of the libraries that train: OpenMP, BLAS and joblib.

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import math
import os
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path

# The libraries read these variables when they are loaded. The engines pass them to containers if
# the user has set them.
THREAD_VARIABLES = (
    "OMP_WAIT_POLICY",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)


def cpu_limit(root: Path = Path("/sys/fs/cgroup")) -> float:
    """Return the CPU limit of the container's cgroup (v2 or v1), or infinity."""
    with suppress(OSError, ValueError):
        quota, period = (root / "cpu.max").read_text().split()
        return int(quota) / int(period)

    with suppress(OSError, ValueError):
        quota = (root / "cpu/cpu.cfs_quota_us").read_text()
        period = (root / "cpu/cpu.cfs_period_us").read_text()
        # The quota is -1 without a limit.
        return int(quota) / int(period) if int(quota) > 0 else math.inf

    return math.inf


def available_cpus(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the number of CPUs that this process can use at once."""
    # macOS has no affinity.
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    return max(1, math.ceil(min(cpus, cpu_limit(root))))


def set_threads(variables: MutableMapping[str, str]) -> None:
    """Set the number of threads to the number of CPUs, unless the user has set it.

    With OpenMP's default policy, waiting threads use the CPU, and a training next to a busy process
    takes many times as long. With the policy `passive`, they sleep.
    """
    cpus = str(available_cpus())
    # OpenBLAS and MKL use OMP_NUM_THREADS if their own variable is not set. If it were set here, it
    # would override the OMP_NUM_THREADS of the user.
    defaults = {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": cpus, "LOKY_MAX_CPU_COUNT": cpus}
    for name, value in defaults.items():
        if not variables.get(name):
            variables[name] = value
