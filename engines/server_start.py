"""Wait until a server in the background answers, and print its routes.

Usage: server_start.py CONTAINER URL     CONTAINER runs in Docker and publishes URL
       server_start.py check             only checks WAIT

The exit code is 0 once the server answers /health, and 1 if it ends before, or if it does not
answer within WAIT (60) seconds. engines/local_server.py calls the functions of this module for
servers of the local engine. It uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from client import WrongAnswer, error_of, fetch, wait_seconds  # noqa: E402
from show_log import print_end  # noqa: E402

POLL_SECONDS = 0.05
LOG_LINES = 20


class NotStarted(Exception):
    """A server has ended or does not answer; the message has the next step."""


def get(url: str) -> Any:
    """Return the decoded JSON of a page, or None if there is none.

    A page with an error status has JSON too.
    """
    try:
        return fetch(url)[1]
    except (OSError, http.client.HTTPException, WrongAnswer):
        return None


def wait_until_alive(name: str, url: str, seconds: float, is_running: Callable[[], bool]) -> None:
    """Wait until the server answers /health.

    Raises NotStarted if the server ends, or after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not is_running():
            raise NotStarted(f"{name} ended before it answered. The end of its log is above.")
        if get(f"{url}/health") == {"status": "alive"}:
            return
        time.sleep(POLL_SECONDS)

    problem = f"{name} runs but does not answer {url}/health after {seconds:g} s"
    raise NotStarted(f"{problem}. See make logs, or wait longer with WAIT=300.")


def routes(url: str) -> list[str]:
    """Return a line for each route: its path, and why it is not ready."""
    document = get(f"{url}/openapi.json") or {}
    paths = [path for path, item in document.get("paths", {}).items() if "post" in item]
    problems = error_of(get(f"{url}/ready")).get("routes", {})
    lines = []
    for path in paths:
        status = f"not ready: {problems[path]}" if path in problems else "ready"
        lines.append(f"     POST {path}  {status}")
    return lines


def report(name: str, url: str) -> None:
    """Print where the server answers, and how to see its log and to stop it."""
    print("\n".join([f"---> {name} answers on {url}", *routes(url)]))
    print("---> make logs shows its log. make stop stops it.", flush=True)


def main(arguments: list[str]) -> int:
    """Check WAIT or wait for a container, and return the exit code."""
    if len(arguments) != 2 and arguments != ["check"]:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        seconds = wait_seconds()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if arguments == ["check"]:
        return 0
    return wait_for_container(arguments[0], arguments[1], seconds)


def wait_for_container(name: str, url: str, seconds: float) -> int:
    """Wait until the server of a container answers, and return the exit code."""

    def is_running() -> bool:
        done = subprocess.run(["docker", "top", name], capture_output=True)
        return done.returncode == 0

    try:
        wait_until_alive(name, url, seconds, is_running)
    except NotStarted as error:
        command = ["docker", "logs", "--tail", str(LOG_LINES), name]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        print_end(done.stdout.decode(errors="replace"), LOG_LINES)
        print(f"predict: {error}", file=sys.stderr)
        return 1
    report(name, url)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
