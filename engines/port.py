"""Check whether a program can listen on a port.

Usage: port.py PORT        exit code 69 if another program uses the port, 2 if PORT is not a port

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
from pathlib import Path

ENGINES = Path(__file__).resolve().parent
ROOT = ENGINES.parent
sys.path.insert(0, str(ENGINES))
from local_server import find  # noqa: E402
from model_names import makefile_value  # noqa: E402

DOCKER_SECONDS = 10


def number_problem(text: str) -> str | None:
    """Return why `text` is no port number, or None."""
    # int() alone also accepts blanks, signs and digits of other scripts, and is slow for long
    # texts.
    is_number = text.isascii() and text.isdigit() and len(text) <= 5
    if is_number and 1 <= int(text) <= 65535:
        return None
    return f"PORT={text}: expected a whole number from 1 to 65535"


def is_port(text: str) -> bool:
    """Return whether `text` is a port number; print an error if it is not."""
    problem = number_problem(text)
    if problem:
        print(problem, file=sys.stderr)
    return not problem


def listen_problem(port: int) -> str | None:
    """Return why no program can listen on `port` and what to do, or None."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
            return None
        except OSError as error:
            number = error.errno
            reason = error.strerror

    if number == errno.EACCES:
        return f"{reason}. Ports below 1024 need root. Set another PORT, such as PORT=5111."
    server = local_server_on(port) or container_on(port)
    if server:
        return f"{server} uses it. Stop it with {stop_command(server)}, or set another PORT."
    return f"{reason}. Stop the other program, or set another PORT."


def local_server_on(port: int) -> str | None:
    """Return the name of the local engine's server on `port`, or None."""
    folder = ROOT / ".local" / "run"
    for path in folder.rglob("*.pid"):
        file = path.with_suffix("")
        server = find(file)
        if server and server.url.endswith(f":{port}"):
            return str(file.relative_to(folder))
    return None


def container_on(port: int) -> str | None:
    """Return the name of the Docker container that publishes `port`, or None."""
    command = ["docker", "ps", "--filter", f"publish={port}", "--format", "{{.Names}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOCKER_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    names = done.stdout.split()
    return names[0] if names else None


def stop_command(server: str) -> str:
    """Return the command that stops a server."""
    for makefile in sorted(ROOT.glob("*/Makefile")):
        directory = makefile.parent.name
        name = makefile_value(directory, "CONTAINER_NAME")
        if name and f"{name}-predict" == server:
            return f"make -C {directory} stop"
    return f"docker stop {server}"


def main(arguments: list[str]) -> int:
    """Return the exit code: 0 if the port is free; print an error if it is not."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    text = arguments[0]
    if not is_port(text):
        return 2

    problem = listen_problem(int(text))
    if problem:
        print(f"PORT={text}: {problem}", file=sys.stderr)
        return 69
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
