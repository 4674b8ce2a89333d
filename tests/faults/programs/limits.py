"""Limits that the programs set for themselves, and their peak memory."""

import os
import resource
from pathlib import Path

STRANGER = 12345


def limit_memory(bytes_: int) -> None:
    """Limit this process's address space, and write no core files."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_))


def limit_more_memory(bytes_: int) -> None:
    """Limit this process's address space to its present size plus some bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit_memory(pages * resource.getpagesize() + bytes_)


def limit_file_size(bytes_: int) -> None:
    """Limit the size of each file that this process writes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))


def become_stranger(_: int = 0) -> None:
    """Change to a user who has no groups and owns no files."""
    os.setgroups([])
    os.setgid(STRANGER)
    os.setuid(STRANGER)


def peak_memory_kb() -> int:
    """Return the peak memory of this process in KB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    raise LookupError("VmHWM")
