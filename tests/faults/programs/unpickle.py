"""Load a pickle in a naive way, within 1 GB and 20 s.

Usage: unpickle.py plain|prefix FILE. `prefix` allows names by the prefix of their module.
"""

import pickle
import signal
import sys
from typing import Any

from limits import limit_memory

ALLOWED = ("collections", "numpy", "sklearn")


class ByPrefix(pickle.Unpickler):
    """An unpickler that imports only from some packages."""

    def find_class(self, module: str, name: str) -> Any:
        """Import a name whose module begins with an allowed package."""
        if module.split(".")[0] not in ALLOWED:
            raise pickle.UnpicklingError(module)
        return super().find_class(module, name)


def main() -> None:
    """Load the pickle."""
    limit_memory(1 << 30)
    signal.alarm(20)
    kind, path = sys.argv[1:]
    unpickler = {"plain": pickle.Unpickler, "prefix": ByPrefix}[kind]
    with open(path, "rb") as file:
        unpickler(file).load()


if __name__ == "__main__":
    main()
