"""Corrupt model files: rejected before the first opcode of the pickle is read."""

from pathlib import Path
from typing import Any

import pytest
from support.figures import FULL, Figure, times
from support.models import MODEL_DIRS, model_file
from support.programs import result_of, run_program

FLIPS = times(5000, 100)
NAIVE_FLIPS = times(500, 15)
HOURS = 3600


def counts_of(program: str, *arguments: object) -> dict[str, Any]:
    """Return the counts that a program printed."""
    counts: dict[str, Any] = result_of(run_program(program, *arguments, seconds=2 * HOURS))
    return counts


@pytest.mark.parametrize("directory", MODEL_DIRS)
def test_every_truncation_is_refused_before_an_opcode_is_read(
    trained: Path, directory: str, figure: Figure
) -> None:
    path = model_file(trained, directory)
    size = path.stat().st_size
    step = 1 if FULL else size // 200
    counts = counts_of("truncate_model", path, step)
    tried = counts["tried"]
    assert counts == {"refused": tried, "tried": tried, "opcodes": 0}
    assert tried >= (size if FULL else 600)
    figure(
        f"{path.stem}: truncated to every length (quick: every {step}th)",
        f"{tried:,} refused",
    )


@pytest.mark.parametrize("directory", MODEL_DIRS)
def test_a_flipped_bit_is_refused_before_an_opcode_is_read(
    trained: Path, tmp_path: Path, directory: str, figure: Figure
) -> None:
    path = model_file(trained, directory)
    assert counts_of("flip_bits", path, FLIPS, tmp_path) == {"refused": FLIPS, "opcodes": 0}

    naive = counts_of("flip_without_digest", path, NAIVE_FLIPS)
    assert naive["accepted"] > 0
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(naive.items()))
    figure(
        f"{path.stem}: a bit flipped {FLIPS:,} times",
        f"{FLIPS:,} refused",
        f"no digest: {outcomes}",
    )


def test_an_undamaged_file_is_taken(trained: Path) -> None:
    """The control of the tests above: a valid file is accepted."""
    counts = counts_of("truncate_model", model_file(trained), 10**9, "uncut")
    assert counts["accepted"] > 0
    assert "refused" not in counts
