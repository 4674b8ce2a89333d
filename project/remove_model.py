"""Remove a model directory, and its word in MODEL_DIRS.

Usage: NAME=DIRECTORY [FORCE=1] remove_model.py     (make remove-model)

Without FORCE=1, a directory with work that git does not have is not removed. This module uses only
the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from project.combined import change_combined, combined_directories  # noqa: E402
from project.command import run_command  # noqa: E402
from project.git import USAGE, ProjectError, Repository  # noqa: E402


def check_removable(name: str, is_forced: bool) -> None:
    """Raise ProjectError unless the directory is a model's, without unsaved work."""
    models = {path.parents[1].name for path in ROOT.glob("*/.s2i/environment")} - {"all"}
    if name not in models:
        names = ", ".join(sorted(models))
        expected = f"expected a model directory: {names}"
        raise ProjectError(f"NAME={name}: {expected}. Type make remove-model NAME=lightGBM", USAGE)
    if combined_directories() == [name]:
        raise ProjectError(f"{name} is the last model of all/. Add another model first.")
    if is_forced:
        return
    changed = Repository(ROOT).output("status", "--porcelain", "--untracked-files=all", "--", name)
    if changed:
        files = ", ".join(line.split(maxsplit=1)[1] for line in changed.splitlines()[:3])
        problem = f"{name} has changes that are not committed: {files}"
        raise ProjectError(f"{problem}. Commit them, or set FORCE=1 to remove them.")


def main() -> None:
    """Remove the directory that NAME names."""
    name = os.environ.get("NAME", "").strip().rstrip("/")
    check_removable(name, os.environ.get("FORCE") == "1")
    removed = ROOT / ".local" / f"removed-{name}-{os.getpid()}"
    removed.parent.mkdir(exist_ok=True)
    # This fails before anything has changed if the directory cannot be removed.
    (ROOT / name).rename(removed)
    directories = combined_directories()
    try:
        if name in directories:
            change_combined([other for other in directories if other != name])
    except BaseException:
        removed.rename(ROOT / name)
        raise
    shutil.rmtree(removed, ignore_errors=True)
    print(f"---> Removed {name}. Its images and its model file in models/ were not removed.")


if __name__ == "__main__":
    sys.exit(run_command("remove-model", main))
