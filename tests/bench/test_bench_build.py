"""bench-build: a failed build voids its row; a slower assemble is measured."""

import math
import sys
from pathlib import Path
from typing import Any

import pytest
from support.commands import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import build  # noqa: E402
from measure import Ratio  # noqa: E402
from space import space_lines  # noqa: E402

FLOOR = [0.5, 0.5, 1.0]
SECONDS = [2.0, 3.5, 3.0]
DELAY_SECONDS = 4


def test_build_is_compared_with_the_floor_of_its_own_round() -> None:
    assert build.over(SECONDS, FLOOR) == Ratio(median=2.0, least=1.5, most=3.0)
    assert build.line("docker", "again", {"floor": FLOOR, "again": SECONDS}) == {
        "engine": "docker",
        "build": "after an edit",
        "s": "3.00",
        "floor, s": "0.50",
        "over the floor, s": "2.00 (1.50-3.00)",
        "goal": "at most 2: yes",
    }


@pytest.mark.parametrize("failed", ["floor", "again"])
def test_one_failed_build_voids_its_row(failed: str) -> None:
    values = {"floor": FLOOR, "again": SECONDS, failed: [2.0, math.nan, 3.0]}
    line = build.line("local", "again", values)
    assert line["s"] == line["over the floor, s"] == "void"
    assert line["goal"] == "at most 2: no"


def test_failed_command_has_no_time_and_its_error_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert math.isnan(build.seconds("bash", "-c", "echo no wheels >&2; exit 3"))
    assert capsys.readouterr().err == "build: bash: exit code 3: no wheels\n"
    assert build.seconds("true") >= 0


def test_slower_build_and_failed_build_are_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clone = build.copy(tmp_path)
    assert build.first("local", clone) < 600

    assemble = clone / "builders/s2i/bin/assemble"
    delayed = assemble.read_text().replace(
        "check_source\n", f"sleep {DELAY_SECONDS}\ncheck_source\n"
    )
    assemble.write_text(delayed)
    assert build.again("local", clone) >= DELAY_SECONDS
    built = clone.glob(".local/images/*/finance_income_prediction/predict.py")
    assert list(built) != []

    (clone / build.MODEL / "predict.py").write_text("def nobody(): ...\n")
    assert math.isnan(build.again("local", clone))
    assert "has no function predict_adult_income_lr" in capsys.readouterr().err


def test_floor_does_less_than_a_build(tmp_path: Path) -> None:
    clone = build.copy(tmp_path)
    context = build.source(clone)
    assert (context / ".s2i/bin/assemble").read_text() == "#!/bin/sh\n"
    assert build.local_floor(context) < build.first("local", clone)


def space_values(*arguments: Any) -> dict[str, tuple[str, str]]:
    """Return the values and goals of the table of space."""
    return {line["space"]: (line["value"], line["goal"]) for line in space_lines(*arguments)}


def test_layers_that_images_share_count_once() -> None:
    packages = {"packages": 100_000_000}
    images = [{**packages, name: 500_000} for name in ("lr", "rf", "xgb", "all")]
    found = space_values(images[0], {**packages, "edited": 400_000}, images)
    assert found == {
        "new layers after an edit, MB": ("0.40", "at most 1: yes"),
        "one image, MB": ("100.50", ""),
        "all images, MB": ("102.00", ""),
        "all images, divided by one image": ("1.01", "at most 1.3: yes"),
    }


def test_images_without_shared_packages_miss_the_goals() -> None:
    images = [{name: 100_000_000} for name in ("lr", "rf", "xgb", "all")]
    found = space_values(images[0], {"edited": 100_000_000}, images)
    assert found["new layers after an edit, MB"] == ("100.00", "at most 1: no")
    assert found["all images, divided by one image"] == ("4.00", "at most 1.3: no")


def test_image_that_was_not_built_voids_the_space() -> None:
    image = {"packages": 1}
    assert {value for value, _ in space_values(image, image, [image, {}]).values()} == {"void"}
