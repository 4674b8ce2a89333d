"""What Linux reports of a process: its memory, its threads, its open files.

This module defines status_fields, memory_mb, reset_peak_memory, open_files.
"""

import os
from pathlib import Path


def status_fields(pid: int) -> dict[str, str]:
    """Return the fields of /proc/PID/status."""
    fields = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        fields[name] = value.strip()
    return fields


def memory_mb(pid: int, field: str = "VmRSS") -> float:
    """Return a process's memory in MB: VmRSS is the present value, VmHWM the peak."""
    kilobytes = status_fields(pid)[field].split()[0]
    return int(kilobytes) / 1024


def reset_peak_memory(pid: int) -> None:
    """Reset VmHWM to the present value."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def open_files(pid: int) -> int:
    """Return how many file descriptors a process has."""
    return len(os.listdir(f"/proc/{pid}/fd"))
