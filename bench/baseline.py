"""Compare this checkout with the checkout in the folder BASELINE.

The code of both checkouts uses the same model files. In a run, the two are measured by turns.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from load import Load
from measure import ROOT, clean_environment, median_of, ratio, verdict

# A change may make the code slower by this part.
SLOWER = 0.05
VERDICT = f"at most {SLOWER:.0%} slower".replace("%", " %")


def baseline_root() -> Path | None:
    """Return the root folder of the other checkout, or None if BASELINE is not set."""
    folder = os.environ.get("BASELINE")
    if not folder:
        return None
    return Path(folder).resolve()


class EndpointProcess:
    """A separate process that runs a model's endpoint with the code of one checkout.

    `folder` contains the models/ that it serves. An EndpointProcess is a context manager, which
    ends the process.
    """

    def __init__(self, checkout: Path, name: str, folder: Path = ROOT):
        path = f"{checkout}{os.pathsep}{checkout / 'builders'}"
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "bench" / "predict_process.py"), name],
            cwd=folder,
            env={**clean_environment(), "PYTHONPATH": path, "UNKNOWN": "ignore"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def measure(self, body: bytes) -> float:
        """Return the time of an answer to `body`, in ms.

        Raises RuntimeError if the process ends without an answer.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(body + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args}: ended without an answer")
        return float(line)

    def __enter__(self) -> "EndpointProcess":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()


def predict_line(
    name: str, rows: int, own: Sequence[float], baseline: Sequence[float]
) -> dict[str, Any]:
    """Return one line of bench-predict's table.

    `own` and `baseline` are the times in ms by round.
    """
    time_ratio = ratio(own, baseline)
    return {
        "model": name,
        "rows": rows,
        "ours, ms": f"{median_of(own):.3f}",
        "baseline, ms": f"{median_of(baseline):.3f}",
        "time, relative to the baseline": str(time_ratio),
        VERDICT: verdict(time_ratio.median, 1 + SLOWER, True),
    }


def serve_line(
    name: str, case: tuple[int, int], own: Sequence[Load], baseline: Sequence[Load]
) -> dict[str, Any]:
    """Return one line of bench-serve's table.

    An error of one of the two servers makes the line void.
    """
    throughput = ratio([one.throughput for one in own], [one.throughput for one in baseline])
    p50 = ratio([one.p50 for one in own], [one.p50 for one in baseline])
    errors = sum(one.errors for one in (*own, *baseline))
    reached = "void" if errors else verdict(throughput.median, 1 - SLOWER, False)
    rows, connections = case
    return {
        "model": name,
        "rows": rows,
        "connections": connections,
        "throughput, relative to the baseline": str(throughput),
        "p50, relative to the baseline": str(p50),
        "errors": errors,
        VERDICT: reached,
    }
