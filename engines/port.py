"""Check whether a program can listen on a port.

Usage: port.py PORT        exit code 69 if another program uses the port, 2 if PORT is not a port

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import socket
import sys


def is_port(text: str) -> bool:
    """Return whether `text` is a port number; print an error if it is not."""
    # int() alone also accepts blanks, signs and digits of other scripts, and is slow for long
    # texts.
    is_number = text.isascii() and text.isdigit() and len(text) <= 5
    if is_number and 1 <= int(text) <= 65535:
        return True
    print(f"PORT={text}: expected a whole number from 1 to 65535", file=sys.stderr)
    return False


def listen_problem(port: int) -> str | None:
    """Return why no program can listen on `port` of this machine, or None."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError as error:
            return error.strerror
    return None


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
        way_out = "Stop the other program, or set another PORT."
        print(f"PORT={text}: {problem}. {way_out}", file=sys.stderr)
        return 69
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
