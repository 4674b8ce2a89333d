"""Checks whether a port can be listened on. Standard library only, Python 3.9.

Usage: port.py PORT        exit code 69 if another program listens there, 2 if PORT is not a port
"""

from __future__ import annotations

import socket
import sys


def is_port(text: str) -> bool:
    """Return whether `text` names a port; print an error if it doesn't."""
    # int() also accepts blanks, signs and other scripts' digits, and is slow on long texts.
    is_number = text.isascii() and text.isdigit() and len(text) <= 5
    if is_number and 1 <= int(text) <= 65535:
        return True
    print(f"PORT={text}: expected a whole number from 1 to 65535", file=sys.stderr)
    return False


def listen_problem(port: int) -> str | None:
    """Return why nothing can listen on `port` of this machine, or None."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError as error:
            return error.strerror
    return None


def main(arguments: list[str]) -> int:
    """Return 0 if the port is free; print an error and return another code if not."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    text = arguments[0]
    if not is_port(text):
        return 2

    problem = listen_problem(int(text))
    if problem:
        way_out = "end the other program or choose another PORT"
        print(f"PORT={text}: {problem}; {way_out}", file=sys.stderr)
        return 69
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
