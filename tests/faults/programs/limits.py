"""Limits that the programs set on themselves, and what they took."""

import os
import resource
from pathlib import Path

STRANGER = 12345


def limit_memory(bytes_: int) -> None:
    """Limit this process's address space, and write no core files."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_))


def limit_more_memory(bytes_: int) -> None:
    """Limit this process's address space to what it has now, and so many bytes more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit_memory(pages * resource.getpagesize() + bytes_)


def limit_file_size(bytes_: int) -> None:
    """Let no file grow beyond so many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))


def become_stranger(_: int = 0) -> None:
    """Become a user without groups who owns nothing."""
    os.setgroups([])
    os.setgid(STRANGER)
    os.setuid(STRANGER)


def peak_memory_kb() -> int:
    """Return the most memory that this process has had, in KB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    raise LookupError("VmHWM")
