"""Run git for `make new-project` and `make update-template`.

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

UNAVAILABLE = 69  # EX_UNAVAILABLE in sysexits.h
USAGE = 2
FAILED = 1
LIST = "project/template_only.txt"
# A user without user.name and user.email in the configuration of git can still commit.
FALLBACK = ("-c", "user.name=template", "-c", "user.email=template@localhost")


class ProjectError(Exception):
    """A command that cannot go on; the message has the next step."""

    def __init__(self, message: str, exit_code: int = FAILED):
        super().__init__(message)
        self.exit_code = exit_code


class Repository:
    """A git repository in a folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a git command and return its result. Raises ProjectError without git."""
        if not shutil.which("git"):
            raise ProjectError("git is not on the PATH. Install it (https://git-scm.com).", 69)
        return subprocess.run(
            ["git", *arguments], cwd=self.folder, capture_output=True, text=True, errors="replace"
        )

    def output(self, *arguments: str) -> str:
        """Return the output of a git command. Raises ProjectError if it fails."""
        done = self.run(*arguments)
        if done.returncode != 0:
            problem = " ".join((done.stderr or done.stdout).split())
            raise ProjectError(f"git {arguments[0]} failed: {problem}")
        return done.stdout.strip()

    def succeeds(self, *arguments: str) -> bool:
        """Return whether a git command succeeds."""
        return self.run(*arguments).returncode == 0

    def identity(self) -> tuple[str, ...]:
        """Return options that name a committer if the configuration of git names none."""
        has_name = self.succeeds("var", "GIT_COMMITTER_IDENT")
        return () if has_name and self.succeeds("var", "GIT_AUTHOR_IDENT") else FALLBACK

    def commit(self, message: str) -> None:
        """Commit the index, without the hooks of the user."""
        options = (*self.identity(), "-c", "commit.gpgsign=false")
        self.output(*options, "commit", "--quiet", "--no-verify", "--message", message)

    def listed(self, patterns: Path) -> set[str]:
        """Return the files of the index that match one of the patterns."""
        found = self.output("ls-files", "-z", "-c", "-i", f"--exclude-from={patterns}")
        return set(filter(None, found.split("\0")))

    def remove(self, files: set[str]) -> None:
        """Remove files from the index and from the folder."""
        names = sorted(files)
        # A command line has a limited length.
        for start in range(0, len(names), 200):
            chunk = names[start : start + 200]
            self.output("rm", "--quiet", "--force", "--ignore-unmatch", "--", *chunk)
