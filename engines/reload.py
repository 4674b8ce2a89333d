"""Become a server of the local engine that uses edits without a rebuild.

Usage: reload.py IMAGE MODEL_DIR PACKAGE COMMAND...     COMMAND becomes the server

A child process watches the model directories, utils/ and common_utils/. After an edit, it copies
the files as build.sh does, imports the predict functions from the copy, moves the copy into the
folder of the image and sends SIGHUP to the server, which then replaces its workers. If the import
fails, the server keeps the last working version. This module uses only the standard library, and
runs on Python 3.9.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from model_names import ROOT, makefile_value

SHARED = ("utils", "common_utils")
WATCH_SECONDS = 0.2
NOT_RELOADED = "Not reloaded. The server keeps the last working version."
# These files decide the packages and the routes. A running server cannot get others.
BUILT = ("requirements.txt", "requirements_predict.txt", "setup.sh", "environment")
# stage.sh adds these two variables.
ADDED = ("SOURCE_DIGEST=", "GIT_COMMIT=")
Snapshot = dict[str, tuple[int, int, int]]


class Source:
    """The folders of an image's source, and the commands that copy and check them."""

    def __init__(self, image: str, model: str, package: str):
        self.image = ROOT / ".local" / "images" / image
        self.model = model
        self.package = package
        self.models = [model]
        if model == "all":
            names = os.environ.get("MODEL_DIRS") or makefile_value("all", "MODEL_DIRS")
            self.models = names.split()

    def snapshot(self) -> Snapshot:
        """Return the identity of each file, by path."""
        files: Snapshot = {}
        for folder in (*self.models, *SHARED):
            for path in (ROOT / folder).rglob("*"):
                # An editor may remove a temporary file at any moment.
                with suppress(OSError):
                    status = path.lstat()
                    files[str(path)] = (status.st_mtime_ns, status.st_size, status.st_ino)
        return {path: identity for path, identity in files.items() if "__pycache__" not in path}

    def run(self, *command: object, cwd: Path = ROOT, **variables: str) -> bool:
        """Run a command and return whether it succeeded.

        Its messages get the paths of the user's files, as those of build.sh do.
        """
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.returncode != 0:
            context = cwd if cwd != ROOT else command[-1]
            names = (str(context), self.package, self.model)
            subprocess.run([sys.executable, "engines/user_paths.py", *names], input=done.stdout)
        return done.returncode == 0

    def stage(self, context: Path) -> bool:
        """Copy the source to `context`; return whether that succeeded."""
        return self.run("engines/stage.sh", self.model, context)

    def check(self, context: Path) -> bool:
        """Return whether the functions of a copy can be imported."""
        for name in ("data", "models"):
            with suppress(FileExistsError):
                (context / name).symlink_to(ROOT / name)
        python = self.image / ".venv/bin/python"
        command = (python, "-m", "runtime.check", "predict", "strict")
        builders = str(ROOT / "builders")
        return self.run(*command, cwd=context, PYTHONPATH=builders, **routes(context))

    def changed_since_build(self, context: Path) -> list[str]:
        """Return the files that a server reads only when it starts, if they have changed."""
        names = [path.relative_to(context) for path in context.rglob("*") if path.name in BUILT]
        different = [
            name for name in names if lines_of(context / name) != lines_of(self.image / name)
        ]
        return sorted({name.name for name in different})

    def install(self, context: Path, aside: Path) -> None:
        """Move the copy into the folder of the image."""
        # The next build must not take this folder for the result of the last one.
        with suppress(FileNotFoundError):
            (self.image / ".digest").unlink()
        aside.mkdir()
        for path in context.iterdir():
            if path.is_symlink():
                continue
            target = self.image / path.name
            if target.exists():
                target.rename(aside / path.name)
            path.rename(target)


def say(message: str) -> None:
    """Print a line in the server's log."""
    print(f"---> {message}", flush=True)


def lines_of(path: Path) -> list[str]:
    """Return the lines of a file, without those that stage.sh has added."""
    text = path.read_text(errors="replace") if path.is_file() else ""
    return [line for line in text.splitlines() if line and not line.startswith(ADDED)]


def environment(folder: Path) -> str:
    """Return the digest of the source in a folder."""
    text = (folder / ".s2i/environment").read_text(errors="replace")
    return next(line for line in text.splitlines() if line.startswith(ADDED[0]))


def routes(context: Path) -> dict[str, str]:
    """Return the variables of an application's environment file."""
    pairs = [line.partition("=") for line in lines_of(context / ".s2i/environment")]
    return {name.strip(): value.strip() for name, _, value in pairs}


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder on the disk of the images.

    The next build removes it if this process is killed (engines/local-build.sh).
    """
    folder = ROOT / ".local" / "building" / str(os.getpid())
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "context").mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def watch(source: Source, server: int) -> None:
    """Install each edit, until the server ends."""
    names = ", ".join(f"{name}/" for name in (*source.models, *SHARED))
    say(f"Reloading: the server uses edits of {names} within seconds (RELOAD=1)")
    known = source.snapshot()
    while os.getppid() == server:
        time.sleep(WATCH_SECONDS)
        current = source.snapshot()
        if current == known:
            continue
        changed = sorted(path for path in current | known if current.get(path) != known.get(path))
        known = current
        reload(source, server, os.path.relpath(changed[-1], ROOT))


def reload(source: Source, server: int, changed: str) -> None:
    """Let the server use the current source if it works."""
    with temporary_folder() as folder:
        context = folder / "context"
        if not source.stage(context):
            say(NOT_RELOADED)
        elif environment(context) == environment(source.image):
            # The file is not one of the image, such as a test instance.
            pass
        elif source.changed_since_build(context):
            names = ", ".join(source.changed_since_build(context))
            say(f"{names} changed. Stop the server, and start it again to use the change.")
        elif not source.check(context):
            say(NOT_RELOADED)
        else:
            source.install(context, folder / "old")
            os.kill(server, signal.SIGHUP)
            say(f"Reloaded after an edit of {changed}")


def end(number: int, frame: object) -> NoReturn:
    """End the watcher at a signal."""
    sys.exit(0)


def become(command: list[str]) -> NoReturn:
    """Replace this process by the server; each worker imports the application."""
    # A server that starts does not handle this signal yet. Its workers will read the new files.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # The server would report this variable as misspelled.
    del os.environ["RELOAD"]
    os.environ["PRELOAD"] = "0"
    os.environ.setdefault("DRAIN_SECONDS", "0")
    os.execvp(command[0], command)


def main(arguments: list[str]) -> int:
    """Fork the watcher, and become the server."""
    if len(arguments) < 4:
        print(__doc__, file=sys.stderr)
        return 2
    source = Source(*arguments[:3])
    server = os.getpid()
    if os.fork() == 0:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        watch(source, server)
        return 0
    become(arguments[3:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
