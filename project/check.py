"""Check the files that a user edits, and report each finding with its place.

Usage: check.py      (make check)

The exit code is 0, or 78 if there is a finding. FORMAT=json prints the findings as JSON. Data sets
are checked in an environment. This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "builders"), str(ROOT / "engines")]
from requirement_files import RequirementError  # noqa: E402
from runtime.settings import ConfigurationError  # noqa: E402

from all.generate import generate  # noqa: E402
from project.check_models import Finding, model_findings, names_findings  # noqa: E402
from project.check_trained import trained_findings  # noqa: E402
from project.combined import combined_directories  # noqa: E402
from project.describe import clean_environment  # noqa: E402

CONFIGURATION = 78
MARKER = "^(<{7}|>{7})( |$)"


def combined_findings() -> Iterator[Finding]:
    """Yield conflicts in MODEL_DIRS, and generated files that are out of date."""
    directories = combined_directories()
    place = "all/Makefile"
    missing = [name for name in directories if not Path(name, "predict.py").is_file()]
    for name in missing:
        problem = f"MODEL_DIRS: {name} is not a model directory (it has no predict.py)"
        yield Finding("all", place, f"{problem}. Correct the word, or restore the directory.")
    if missing:
        return
    try:
        texts = generate(directories)
    except (ConfigurationError, RequirementError) as error:
        yield Finding("all", place, str(error))
        return
    for name, text in texts.items():
        file = Path("all", name)
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            yield Finding("all", str(file), "is out of date. Type make generate")


def marker_findings() -> Iterator[Finding]:
    """Yield each unresolved conflict of a merge, in the files that git has."""
    command = ["git", "grep", "--line-number", "-I", "--extended-regexp", "-e", MARKER]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except FileNotFoundError:
        return
    for line in done.stdout.splitlines():
        file, number, _ = line.split(":", 2)
        problem = "has a conflict of a merge"
        yield Finding("merge", f"{file}:{number}", f"{problem}. Edit the file, then type git add")


def data_findings() -> Iterator[Finding]:
    """Yield findings of the descriptions and the test instances, from an environment."""
    command = ["project/check_data.sh"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=clean_environment())
    if done.returncode != 0:
        problem = "the data sets were not checked. The reason is above"
        yield Finding("data", "data/", f"{problem}. Type make doctor")
        return
    for values in json.loads(done.stdout):
        yield Finding(*values)


def examine() -> list[Finding]:
    """Return the findings of all checks."""
    markers = list(marker_findings())
    if markers:
        # Files with conflicts have no other valid content.
        return markers
    return [
        *model_findings(),
        *names_findings(),
        *combined_findings(),
        *data_findings(),
        *trained_findings(),
    ]


def main() -> int:
    """Print the findings and return the exit code."""
    os.chdir(ROOT)
    # The checks of a build print notices.
    with contextlib.redirect_stdout(sys.stderr):
        findings = examine()
    if os.environ.get("FORMAT") == "json":
        print(json.dumps({"findings": [finding._asdict() for finding in findings]}, indent=2))
    else:
        for finding in findings:
            message = re.sub(r"\s+", " ", finding.message)
            print(f"{finding.place}: {message}")
        count = len(findings) or "no"
        print(f"---> check: {count} finding{'' if len(findings) == 1 else 's'}")
    return CONFIGURATION if findings else 0


if __name__ == "__main__":
    sys.exit(main())
