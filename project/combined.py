"""Change the models of the combined image.

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from project.git import ProjectError

ROOT = Path(__file__).resolve().parent.parent
# The third part is a comment.
LINE = re.compile(r"^(MODEL_DIRS *:= *)([^#\n]*)(.*)$", re.MULTILINE)
FILES = ("Makefile", ".s2i/environment", "predict.py", "requirements.txt", "setup.sh")


def combined_directories() -> list[str]:
    """Return the directories in MODEL_DIRS of all/Makefile."""
    found = LINE.search((ROOT / "all" / "Makefile").read_text(encoding="utf-8"))
    return found.group(2).split() if found else []


def change_combined(directories: list[str]) -> None:
    """Write MODEL_DIRS and generate the files of all/ again.

    Raises ProjectError if the models conflict. A failure leaves all files as they were.
    """
    paths = [ROOT / "all" / name for name in FILES]
    before = {path: path.read_bytes() for path in paths if path.exists()}
    makefile = paths[0]
    text = makefile.read_text(encoding="utf-8")
    if not LINE.search(text):
        raise ProjectError("all/Makefile has no line MODEL_DIRS := NAMES. Add it, or set JOIN=0.")
    try:
        line = rf"\g<1>{' '.join(directories)}\g<3>"
        makefile.write_text(LINE.sub(line, text), encoding="utf-8")
        generate(directories)
    except BaseException:
        for path, content in before.items():
            path.write_bytes(content)
        raise


def generate(directories: list[str]) -> None:
    """Generate the files of all/. Raises ProjectError if the models conflict."""
    command = [sys.executable, "all/generate.py", "all", *directories]
    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise ProjectError(f"all: {done.stderr.strip()}", done.returncode)
