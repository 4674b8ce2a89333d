"""Replace a file atomically.

A writer writes and locks a temporary file in the target's directory, then renames it. The lock
shows other writers that the temporary file is in use. A temporary file without a lock was left by
a writer that was killed.

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path

# Any user can read the file. With mkstemp's mode 0600, the user of the server could not read it.
MODE = 0o644


def replace_file(path: Path, content: bytes) -> None:
    """Write `content` to `path` through a temporary file.

    After a crash, `path` is either the complete old file or the complete new file.
    Raises OSError, whose `filename` is `path`.
    """
    prefix = f".{path.name}."
    _remove_leftovers(path.parent, prefix)
    descriptor, temporary = _create_locked(path.parent, prefix)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, MODE)
            os.fsync(descriptor)
            # Closing the file releases the lock. Therefore the file is renamed before that.
            os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            # The error of a full disk has no file name.
            error.filename = os.fspath(path)
        raise
    _sync_directory(path.parent)


def _create_locked(directory: Path, prefix: str) -> tuple[int, str]:
    """Create and lock a temporary file; return its descriptor and path."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=prefix, dir=directory)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, name
        # Another writer removed the file before it was locked, because it seemed unused.
        os.close(descriptor)


def _remove_leftovers(directory: Path, prefix: str) -> None:
    """Remove the temporary files that no writer has locked."""
    for leftover in directory.glob(f"{prefix}*"):
        with suppress(OSError), open(leftover, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(leftover)


def _sync_directory(directory: Path) -> None:
    """Write a directory's entries to the disk.

    Only then is a rename in the directory durable.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
