"""Run, find and stop a server of the local engine.

Usage: local_server.py run FILE URL COMMAND...      become COMMAND, the server of FILE
       local_server.py start FILE URL COMMAND...    the same in the background; waits until it
                                                    answers on URL, and writes FILE.log
       local_server.py stop FILE                    stop the server of FILE

A server holds a lock on FILE.pid as long as it runs. The file contains its process id and its URL.
Without the lock, the file is from a server that has ended, and its process id may belong to
another program now. This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple, NoReturn

ENGINES = Path(__file__).resolve().parent
sys.path.insert(0, str(ENGINES))
from client import wait_seconds  # noqa: E402
from server_start import (  # noqa: E402
    LOG_LINES,
    POLL_SECONDS,
    NotStarted,
    report,
    wait_until_alive,
)
from show_log import print_end  # noqa: E402

UNAVAILABLE = 69  # EX_UNAVAILABLE in sysexits.h
NO_PERMISSION = 77  # EX_NOPERM in sysexits.h
# The longest DRAIN_SECONDS is 600, and the requests in flight then have 30 s to finish.
STOP_SECONDS = 640


class AlreadyRunning(Exception):
    """A server that cannot be started because it runs; the message is its name."""


class Server(NamedTuple):
    """A running server: its process id and its address."""

    process: int
    url: str


def pid_file(file: Path) -> Path:
    """Return the path of the file that the server locks."""
    return file.with_name(f"{file.name}.pid")


def is_locked(path: Path) -> bool:
    """Return whether a server holds the lock on a file."""
    try:
        with path.open() as shared:
            fcntl.lockf(shared, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


def find(file: Path) -> Server | None:
    """Return the server that runs, or None."""
    path = pid_file(file)
    while is_locked(path):
        # A server that has just taken the lock has not yet written the file.
        words = path.read_text().split()
        if len(words) == 2:
            return Server(int(words[0]), words[1])
        time.sleep(POLL_SECONDS)
    return None


def lock(descriptor: int) -> bool:
    """Take the lock on an open file; return whether that succeeded."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def become(file: Path, url: str, command: list[str]) -> NoReturn:
    """Replace this process by the server.

    The lock belongs to the process. It remains when the process becomes another program, and the
    server's workers do not inherit it. Raises AlreadyRunning.
    """
    path = pid_file(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    while not lock(descriptor):
        if find(file):
            raise AlreadyRunning(file.name)
        # Another process has the lock for a moment, to see whether a server runs.
        time.sleep(POLL_SECONDS)

    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()} {url}\n".encode())
    os.set_inheritable(descriptor, True)
    os.execvp(command[0], command)


def start(file: Path, url: str, command: list[str]) -> int:
    """Start the server in the background and return the exit code.

    The function returns once the server answers or has ended. Raises AlreadyRunning, and ValueError
    if WAIT is not valid.
    """
    seconds = wait_seconds()
    if find(file):
        raise AlreadyRunning(file.name)
    log = file.with_name(f"{file.name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    # This program runs again as the server's process, because a lock is not inherited.
    program = [sys.executable, __file__, "run", str(file), url, *command]
    with log.open("wb") as output:
        server = subprocess.Popen(
            program,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_alive(file.name, url, seconds, lambda: server.poll() is None)
    except NotStarted as error:
        print_end(log.read_text(errors="replace"), LOG_LINES)
        print(f"predict: {error}", file=sys.stderr)
        # A process that a signal has ended has a negative code.
        return max(server.poll() or 0, 1)
    report(file.name, url)
    return 0


def stop(file: Path) -> int:
    """Stop the server, wait until it has ended and return the exit code."""
    server = find(file)
    if server is None:
        advice = "Start it with make predict or make predict-all."
        print(f"stop: {file.name} is not running. {advice}", file=sys.stderr)
        return UNAVAILABLE

    os.kill(server.process, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while find(file) == server:
        if time.monotonic() > deadline:
            os.kill(server.process, signal.SIGKILL)
        time.sleep(POLL_SECONDS)

    print(f"---> Stopped {file.name} (process {server.process}, {server.url})")
    return 0


def main(arguments: list[str]) -> int:
    """Run one of the commands in this module's docstring and return the exit code."""
    verb = arguments[0] if arguments else ""
    is_start = verb in ("run", "start") and len(arguments) > 3
    if not is_start and not (verb == "stop" and len(arguments) == 2):
        print(__doc__, file=sys.stderr)
        return 2

    file = Path(arguments[1])
    try:
        if verb == "stop":
            return stop(file)
        if verb == "start":
            return start(file, arguments[2], arguments[3:])
        become(file, arguments[2], arguments[3:])
    except AlreadyRunning as error:
        print(f"predict: {error} is already running. make stop stops it.", file=sys.stderr)
        return UNAVAILABLE
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except PermissionError as error:
        path = error.filename or pid_file(file)
        print(f"{verb}: no permission for {path}. Run this command as its owner.", file=sys.stderr)
        return NO_PERMISSION


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
