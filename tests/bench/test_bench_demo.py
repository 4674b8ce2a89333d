"""bench-demo: a failed command voids its row; the busy process ends."""

import math
import os
import sys
import time

import pytest
from support.commands import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import demo  # noqa: E402

BUSY = "next to a busy process"


def test_command_on_a_busy_machine_is_compared_with_the_quiet_one_of_its_round() -> None:
    values = {"quiet": [2.0, 4.0, 2.0], BUSY: [4.0, 4.0, 3.0]}
    assert demo.line("make train", BUSY, values) == {
        "command": "make train",
        "condition": BUSY,
        "s": "4.00 (3.00-4.00)",
        "of quiet": "1.50 (1.00-2.00)",
        "goal": "at most 1.5 of quiet: yes",
    }


@pytest.mark.parametrize(("seconds", "verdict"), [(11.5, "yes"), (12.5, "no")])
def test_second_demo_has_a_goal_in_seconds(seconds: float, verdict: str) -> None:
    line = demo.line("make demo", "quiet", {"quiet": [seconds]})
    assert line["goal"] == f"at most 12 s: {verdict}"


@pytest.mark.parametrize("failed", ["quiet", BUSY])
def test_failed_command_voids_its_row(failed: str) -> None:
    values = {"quiet": [2.0], BUSY: [2.0], failed: [math.nan]}
    line = demo.line("make train", BUSY, values)
    assert (line["s"], line["goal"]) == ("void", "")


def test_busy_process_uses_a_core_and_ends() -> None:
    before = os.times().children_user
    with demo.busy_process() as process:
        time.sleep(1)
        assert process.poll() is None
    assert process.poll() is not None
    assert os.times().children_user - before > 0.2


def test_failed_make_has_no_time() -> None:
    assert math.isnan(demo.make(ROOT, "no-such-target"))
    assert demo.make(ROOT, "help") > 0
