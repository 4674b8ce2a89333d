"""Wait until a predict server is ready, or until waiting does not help.

This module uses only the standard library and runs on Python 3.9.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
import urllib.parse
from contextlib import suppress
from pathlib import Path
from typing import Any

from client import WrongAnswer, error_of, fetch, is_refused, reason_of
from port import local_server_on

NOTHING_LISTENS = "nothing listens"
# The reason in /ready of a model that the server has not tried to load yet (runtime/probes.py).
NOT_LOADED = "not loaded yet"
# `make predict & make test-endpoint`: within this time, make has started the first script.
GRACE_SECONDS = 2
POLL_SECONDS = 0.1
PROGRESS_SECONDS = 3


def wait_until_ready(server: str, seconds: float, image: str | None = None) -> None:
    """Wait until the server is ready, or until it gives a final reason why it is not.

    `image` is the name of the image that may be starting. Without it, the caller knows that a
    server is starting. Progress is printed on a terminal.
    Raises WrongAnswer if the server is not ready in time, or if no server is starting.
    """
    port = urllib.parse.urlsplit(server).port or 80
    started = time.monotonic()
    last_sign = started
    next_progress = started + PROGRESS_SECONDS
    while True:
        problem = problem_of(server)
        if problem is None:
            return

        now = time.monotonic()
        if problem != NOTHING_LISTENS or image is None or is_starting(image, port):
            last_sign = now
        if now - last_sign > GRACE_SECONDS:
            found = f"nothing listens on {server}, and no server of this folder is starting"
            raise WrongAnswer(f"{found}. Start one with make predict or make predict-all.")
        if now - started >= seconds:
            found = f"{server} is not ready after {seconds:g} s: {problem}"
            raise WrongAnswer(f"{found}. Read make logs, or set a longer WAIT.")

        if now >= next_progress:
            print_progress(server, now - started, seconds, problem)
            next_progress = now + PROGRESS_SECONDS
        time.sleep(POLL_SECONDS)


def problem_of(server: str) -> str | None:
    """Return why the server is not ready yet, or None if waiting does not help.

    Waiting does not help if the server is ready, if its reason is final, or if it has no /ready.
    Raises WrongAnswer if the answer is not JSON.
    """
    try:
        status, answer = fetch(f"{server}/ready")
    except (OSError, http.client.HTTPException) as error:
        return NOTHING_LISTENS if is_refused(error) else str(error)
    if status != 503 or is_final(answer):
        return None
    return reason_of(answer)


def is_final(answer: Any) -> bool:
    """Return whether the server has rejected a model; then only a new file helps."""
    routes = error_of(answer).get("routes")
    return isinstance(routes, dict) and NOT_LOADED not in routes.values()


def is_starting(image: str, port: int) -> bool:
    """Return whether a server is starting on `port`, or `image` is being built."""
    if local_server_on(port):
        return True
    for line in command_lines():
        words = line.split()
        # `build.sh IMAGE all predict`, or `run.sh predict IMAGE`
        is_script = {image, "predict"} <= set(words)
        # `docker run --name IMAGE --publish 5111:5000`, perhaps with an address before the port
        publishes = any(f":{word}".endswith(f":{port}:5000") for word in words)
        is_container = image in words and publishes
        if is_script or is_container:
            return True
    return False


def command_lines() -> list[str]:
    """Return the command lines of all processes."""
    files = list(Path("/proc").glob("[0-9]*/cmdline"))
    if not files:
        # macOS has no /proc. Linux images often have no ps.
        command = ["ps", "-A", "-ww", "-o", "args="]
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()

    lines = []
    for file in files:
        # A process may end at any moment.
        with suppress(OSError):
            lines.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return lines


def print_progress(server: str, waited: float, seconds: float, problem: str) -> None:
    """Print how long the program has waited, and why, if stdout is a terminal."""
    if sys.stdout.isatty():
        print(f"---> Waiting for {server} ({waited:.0f} of {seconds:g} s): {problem}", flush=True)
