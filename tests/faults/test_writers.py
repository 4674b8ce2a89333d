"""Trainers that are killed or lack disk space, permissions or memory."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from support.commands import ROOT, Completed, run
from support.figures import FULL, Figure, times
from support.programs import PYTHONPATH, command, result_of, run_program

from utils.encode_decode import init_model

ROWS = 3_000
DATA = ROOT / "data/adult_income-prepped.csv"
HOURS = 3600
PAIRS = times(20, 1)
ROOMS = [0, 1, 4096, 10_000] if FULL else [4096]
MEGABYTES = range(10, 70, 5) if FULL else [10, 45]
VARIABLES = {
    "TRAIN": "1",
    "TRAIN_MODULE": "logisticRegression.train",
    "TRAIN_FUNCTION": "train",
    "PAYLOAD": '{"$ref": "data/t.csv", "model_name": "m"}',
    "PYTHONPATH": PYTHONPATH,
}
NO_SPACE = (
    "train: [Errno 28] No space left on device: 'models/m.pkl'. "
    "Free some space, or mount another folder there.\n"
)
READ_ONLY = (
    "train: [Errno 30] Read-only file system: 'models'. "
    "Free some space, or mount another folder there.\n"
)
OUT_OF_MEMORY = r"train: out of memory \([^\n]*\n?\). Provide more memory, or fewer rows.\n"
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


def train(project: Path, limit: str = "none", amount: int = 0, *kind: str) -> Completed:
    """Train within a limit (see programs/train_limited.py)."""
    return run_program("train_limited", limit, amount, *kind, cwd=project, **VARIABLES)


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """A train container's directory, with a table of 3,000 rows and a valid model m.

    It is not in pytest's folder, because other users may not enter that folder.
    """
    with TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "models").mkdir()
        (directory / "data").mkdir()

        lines = DATA.read_text().splitlines(keepends=True)
        (directory / "data/t.csv").write_text("".join(lines[: ROWS + 1]))
        shutil.copyfile(DATA.with_suffix(".toml"), directory / "data/t.toml")

        done = train(directory)
        assert done.returncode == 0, done.stderr
        yield directory


@pytest.fixture
def project(base: Path) -> Iterator[Path]:
    """The same directory for one test; its model is restored at the end."""
    before = model_of(base)
    yield base
    shutil.rmtree(base / "models")
    (base / "models").mkdir()
    (base / "models/m.pkl").write_bytes(before)


def model_of(project: Path) -> bytes:
    """Return the content of the model file."""
    return (project / "models/m.pkl").read_bytes()


def check_only_file(project: Path, content: bytes) -> None:
    """Check that models/ holds the model file with this content, and no other file."""
    assert os.listdir(project / "models") == ["m.pkl"]
    assert model_of(project) == content


def kill_trainers(project: Path, tries: int, moment: str, trainer: str) -> dict[str, Any]:
    """Kill trainers (see programs/kill_trainers.py); the last one must leave one file."""
    arguments = (tries, moment, trainer)
    done = run_program("kill_trainers", *arguments, cwd=project, seconds=2 * HOURS, **VARIABLES)
    counts: dict[str, Any] = result_of(done)
    assert counts.pop("files") == ["m.pkl"]
    return counts


def test_a_trainer_killed_at_any_moment_leaves_a_complete_file(
    project: Path, figure: Figure
) -> None:
    tries = times(200, 2)
    counts = kill_trainers(project, tries, "anytime", "trainer")
    old = counts.get("old", 0)
    new = counts.get("new", 0)
    assert "broken" not in counts
    assert old + new == tries
    figure(
        f"a trainer killed {tries} times, at any moment",
        f"old file {old}, complete new one {new}, broken 0",
    )


def test_a_trainer_killed_while_it_writes_leaves_a_complete_file(
    project: Path, figure: Figure
) -> None:
    tries = times(200, 3)
    counts = kill_trainers(project, tries, "writing", "trainer")
    old = counts.get("old", 0)
    new = counts.get("new", 0)
    assert "broken" not in counts
    assert old + new == tries

    naive = kill_trainers(project, 50, "writing", "in-place")["broken"]
    assert naive > 0
    figure(
        f"a trainer killed {tries} times, once it writes",
        f"old file {old}, complete new one {new}, broken 0; "
        f"{counts['leftovers']} leftovers, gone after the next run",
        f"in place: {naive} of 50 broken",
    )


def test_two_trainers_of_one_name_leave_one_complete_file(project: Path, figure: Figure) -> None:
    for _ in range(PAIRS):
        both = [
            subprocess.Popen(
                command("train_limited", "none", 0), cwd=project, env={**os.environ, **VARIABLES}
            )
            for _ in range(2)
        ]
        assert [trainer.wait(120) for trainer in both] == [0, 0]
        assert init_model("m", project / "models")["modelName"] == "m"
        assert os.listdir(project / "models") == ["m.pkl"]
    figure(f"two trainers of one name at once, {PAIRS} times", "one complete file, no leftover")


@pytest.fixture
def small(project: Path) -> Iterator[Path]:
    """The project with models/ on a file system of 16 KB, if one can be mounted."""
    models = project / "models"
    before = model_of(project)
    mounted = run("mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", models)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted: {mounted.stderr.strip()}")
    try:
        (models / "m.pkl").write_bytes(before[:4096])
        yield project
    finally:
        assert run("umount", models).returncode == 0


def test_a_full_disk_is_named_and_the_old_file_stays(small: Path, figure: Figure) -> None:
    before = model_of(small)
    done = train(small)
    assert (done.returncode, done.stderr) == (74, NO_SPACE)
    check_only_file(small, before)

    assert train(small, "none", 0, "in-place").returncode == 1
    size = len(model_of(small))
    assert 0 < size < 1_000_000
    figure(
        "a full disk",
        "exit 74, old file complete, no leftover",
        f"in place: {size:,} of 1,000,000 bytes",
    )


def test_a_read_only_file_system_is_named(small: Path, figure: Figure) -> None:
    assert run("mount", "-o", "remount,ro", small / "models").returncode == 0
    done = train(small)
    assert (done.returncode, done.stdout, done.stderr) == (74, "", READ_ONLY)
    figure("a read-only file system", "exit 74 before the work")


@pytest.mark.parametrize("room", ROOMS)
def test_a_file_that_may_not_grow_is_named_and_the_old_one_stays(project: Path, room: int) -> None:
    before = model_of(project)
    done = train(project, "file-size", room)
    assert done.returncode == 74, done.stderr
    assert done.stderr.startswith("train: [Errno 27] File too large: ")
    check_only_file(project, before)

    train(project, "file-size", room, "in-place")
    assert len(model_of(project)) == room


@needs_root
@pytest.mark.parametrize(
    ("mode", "path"),
    [(0o755, "models"), (0o1777, "models/m.pkl")],
    ids=["another's folder", "another's file, sticky"],
)
def test_files_of_another_user_are_named_and_stay(
    project: Path, figure: Figure, mode: int, path: str
) -> None:
    (project / "models").chmod(mode)
    before = model_of(project)
    done = train(project, "stranger")
    expected = (
        rf"train: {path}: (Permission denied|Operation not permitted) for user 12345:12345\. "
        r"Give the folder to .*\n"
    )
    assert done.returncode == 77, done.stderr
    assert re.fullmatch(expected, done.stderr), done.stderr
    check_only_file(project, before)
    figure(f"models/ of another owner, mode {mode:o}", "exit 77, old file complete, no leftover")


def test_a_lack_of_memory_is_named_and_the_old_file_stays(project: Path, figure: Figure) -> None:
    shutil.copyfile(DATA, project / "data/t.csv")
    codes = []
    for megabytes in MEGABYTES:
        before = model_of(project)
        done = train(project, "memory", megabytes << 20)
        codes.append(done.returncode)
        if done.returncode:
            assert done.returncode == 71, done.stderr
            assert re.fullmatch(OUT_OF_MEMORY, done.stderr), done.stderr
            assert model_of(project) == before
        assert os.listdir(project / "models") == ["m.pkl"]
        assert init_model("m", project / "models")

    assert 71 in codes
    failed = codes.count(71)
    figure(
        f"trainings with too little memory: {len(codes)}",
        f"{failed} end with 71 and the cause, {codes.count(0)} train; no broken file",
    )
