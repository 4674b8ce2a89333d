"""Files that all workers of a test run use.

This module defines locked, shared_folder.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def locked(file: Path, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock on a file; create the file if it is missing."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)


def shared_folder(config: pytest.Config) -> Path:
    """Return the temporary folder that all processes of a run share."""
    folder: Path = config._tmp_path_factory.getbasetemp()
    is_worker = hasattr(config, "workerinput")
    return folder.parent if is_worker else folder
