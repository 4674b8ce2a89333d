"""Tells whether a port can be listened on. Standard library only.

Usage: port.py PORT        exit code 69 if another program listens there, 2 if PORT is not a port
"""

import socket
import sys


def is_port(text: str) -> bool:
    """Whether `text` names a port; says on stderr if it doesn't."""
    if text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535:
        return True
    print(f"PORT={text}: expected a whole number from 1 to 65535", file=sys.stderr)
    return False


def main(arguments: list[str]) -> int:
    """Returns 0 if the port is free, after a sentence on stderr another code."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    text = arguments[0]
    if not is_port(text):
        return 2
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", int(text)))
        except OSError as error:
            print(
                f"PORT={text}: {error.strerror}; end the other program or choose another PORT",
                file=sys.stderr,
            )
            return 69
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
