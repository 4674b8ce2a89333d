"""Test that a file is replaced completely or not at all, without leftovers."""

import fcntl
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import ROOT, output_of, run

from utils.atomic_file import replace_file

OLD = b"the old content"
# A child's program. Its arguments: the path, the byte that fills the file, the file's size, how
# often to write it.
WRITER = """
import sys
from pathlib import Path
from utils.atomic_file import replace_file
filling, size, times = map(int, sys.argv[2:])
for _ in range(times):
    replace_file(Path(sys.argv[1]), bytes([filling]) * size)
"""
WRITER_IN_PLACE = """
import sys
from pathlib import Path
Path(sys.argv[1]).write_bytes(bytes(10_000))
"""
# This program prints the file name of the error that ends the writer.
REPORTING_WRITER = """
import sys
from pathlib import Path
from utils.atomic_file import replace_file
try:
    replace_file(Path(sys.argv[1]), bytes(10_000))
except OSError as error:
    print(error.filename, end="")
"""
# This limits the size of the files that a process writes. At the limit, the kernel sends SIGXFSZ.
# By default, the signal ends the process at once, as kill -9 does. If the process ignores it,
# write() fails as on a full disk.
LIMIT = """
import resource, signal
def limit_size(size, action):
    signal.signal(signal.SIGXFSZ, action)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
"""


def start(code: str, *arguments: object) -> subprocess.Popen[bytes]:
    """Start a child process that can import utils."""
    return subprocess.Popen(
        [sys.executable, "-B", "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def killed_at(size: int) -> str:
    """Return the beginning of a program that is killed when a file reaches `size`."""
    return f"{LIMIT}\nlimit_size({size}, signal.SIG_DFL)\n"


def kill_once(condition: Callable[[], bool], child: subprocess.Popen[bytes]) -> None:
    """Kill a child as soon as `condition` is true."""
    while child.poll() is None and not condition():
        pass
    child.kill()
    assert child.wait() == -signal.SIGKILL, "it was too fast"


def is_complete(content: bytes, size: int) -> bool:
    """Return whether one WRITER wrote all of `content`."""
    return len(content) == size and len(set(content)) == 1


def test_replaced_file_is_readable_by_any_uid(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        replace_file(tmp_path / "file", OLD)
        (tmp_path / "control").touch()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "control").stat().st_mode) == 0o600


def test_killed_writers_leave_a_complete_file_and_the_next_write_cleans_up(tmp_path: Path) -> None:
    size = 20_000_000
    file = tmp_path / "file"
    replace_file(file, bytes(size))
    for number in range(5):
        child = start(WRITER, file, number, size, 50)
        kill_once(lambda: len(os.listdir(tmp_path)) > 1, child)
        assert is_complete(file.read_bytes(), size)

    replace_file(file, OLD)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("size", [0, 1, 5_000, 10_000])
def test_writer_killed_after_some_bytes_leaves_the_old_file(tmp_path: Path, size: int) -> None:
    file = tmp_path / "file"
    replace_file(file, OLD)
    assert start(killed_at(size) + WRITER, file, 0, 10_001, 1).wait() == -signal.SIGXFSZ
    (leftover,) = tmp_path.glob(".file.*")
    assert leftover.stat().st_size == size
    assert file.read_bytes() == OLD

    replace_file(file, OLD)
    assert os.listdir(tmp_path) == ["file"]


def test_writer_in_place_killed_after_some_bytes_leaves_an_incomplete_file(tmp_path: Path) -> None:
    """The control of the test above: a plain write leaves an incomplete file."""
    file = tmp_path / "file"
    replace_file(file, OLD)
    assert start(killed_at(5_000) + WRITER_IN_PLACE, file).wait() == -signal.SIGXFSZ
    assert file.read_bytes() == bytes(5_000)


def test_failed_write_names_the_file_and_leaves_no_temporary_one(tmp_path: Path) -> None:
    file = tmp_path / "file"
    replace_file(file, OLD)
    full_disk = f"{LIMIT}\nlimit_size(5_000, signal.SIG_IGN)\n"
    code = full_disk + REPORTING_WRITER
    done = run(sys.executable, "-B", "-c", code, file, env={"PYTHONPATH": str(ROOT)})
    assert output_of(done) == str(file)
    assert os.listdir(tmp_path) == ["file"]
    assert file.read_bytes() == OLD


def test_writers_at_once_leave_one_complete_file(tmp_path: Path) -> None:
    size = 30_000
    file = tmp_path / "file"
    writers = [start(WRITER, file, number, size, 400) for number in range(4)]
    while any(writer.poll() is None for writer in writers):
        if file.exists():
            assert is_complete(file.read_bytes(), size)
    assert [writer.returncode for writer in writers] == [0, 0, 0, 0]
    assert os.listdir(tmp_path) == ["file"]


def test_file_that_another_writer_has_locked_is_not_removed(tmp_path: Path) -> None:
    """The control: the same file without a lock is a leftover."""
    in_use = tmp_path / ".file.in-use"
    with open(in_use, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        replace_file(tmp_path / "file", OLD)
        assert in_use.exists()

    replace_file(tmp_path / "file", OLD)
    assert not in_use.exists()
