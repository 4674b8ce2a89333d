"""Show how far a comparison is, and that a conversion still runs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Rows between two reports. ONNX Runtime's answers do not depend on the size of such a part.
PART = 1000
# A log gets a line after so many seconds. A terminal's line is replaced.
LOG_SECONDS = 5.0
TERMINAL_SECONDS = 0.2


def parts_of_rows(rows: list[Any]) -> Iterator[list[Any]]:
    """Yield rows in parts, and print how many are done if it takes long."""
    is_terminal = sys.stdout.isatty()
    pause = TERMINAL_SECONDS if is_terminal else LOG_SECONDS
    start, end = ("\r", "") if is_terminal else ("", "\n")
    last = time.perf_counter()
    has_printed = False
    for place in range(0, len(rows), PART):
        yield rows[place : place + PART]
        done = min(place + PART, len(rows))
        if time.perf_counter() - last > pause:
            last = time.perf_counter()
            has_printed = True
            print(f"{start}     compared {done:,} of {len(rows):,}", end=end, flush=True)
    if has_printed and is_terminal:
        print()


@contextmanager
def report_time(what: str) -> Iterator[None]:
    """Print every few seconds how long a step takes, for example "converting"."""
    started = time.perf_counter()
    has_ended = threading.Event()

    def report() -> None:
        while not has_ended.wait(LOG_SECONDS):
            print(f"     {what} for {time.perf_counter() - started:.0f} s", flush=True)

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        has_ended.set()
        reporter.join()
