"""Explain a conflict between requirements files and constraints.txt.

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import re
from pathlib import Path

PIN = re.compile(r"\b([A-Za-z0-9._-]+)==[A-Za-z0-9.+!]*[A-Za-z0-9]")


def explain_conflict(report: str, constraints: str, files: list[str]) -> list[str]:
    """Return a text for each version of `constraints` that conflicts.

    The text contains what to do. `report` is uv's report. `files` are the requirements files.
    """
    if "unsatisfiable" not in report:
        return []

    texts = []
    pins = {match.group(): match.group(1) for match in PIN.finditer(report)}
    for pin, package in sorted(pins.items()):
        if not has_line(constraints, pin):
            continue
        owners = " and ".join(file for file in files if has_line(file, package))
        where = owners or "the requirements files"
        problem = f"{constraints} has {pin}, and the versions above conflict with it"
        ways = f"Change the version in {where}, run make constraints, or remove {package} from"
        texts.append(f"install: {problem}. {ways} {constraints}.")
    return texts


def has_line(file: str, requirement: str) -> bool:
    """Return whether a line of `file` begins with `requirement`."""
    beginning = rf"^{re.escape(requirement)}(?![\w.-])"
    text = Path(file).read_text(encoding="utf-8", errors="replace")
    return bool(re.search(beginning, text, re.MULTILINE | re.IGNORECASE))
