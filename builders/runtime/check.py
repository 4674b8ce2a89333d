"""Finds, at build, the functions that the variables name, so that a misspelt route fails the build and not a pod.

Usage: python -m runtime.check train|predict       exit code 78 if a module isn't found, isn't Python or lacks the name

Any other trouble on import is a warning: an application may open its model at import, and it isn't there yet.
"""

import os
import sys
from collections.abc import Iterator

from runtime.environment import CONFIGURATION, ConfigurationError, check
from runtime.message import find


def entries(role: str) -> Iterator[tuple[str, str, str]]:
    """What the image will call: who names it, module, function."""
    routes = check(os.environ, role)
    if role == "train":
        yield "TRAIN_MODULE", os.environ["TRAIN_MODULE"], os.environ["TRAIN_FUNCTION"]
        return
    for route in routes:
        yield f"route {route.path}", route.module, route.function


def look(where: str, module: str, function: str) -> None:
    """Raises ConfigurationError if there is no such module, it isn't Python, or it doesn't define the function."""
    try:
        find(where, module, function)
    except ConfigurationError as error:
        missing = error.__cause__.name if isinstance(error.__cause__, ModuleNotFoundError) else None
        if (
            isinstance(error.__cause__, SyntaxError | None)
            or missing
            and f"{module}.".startswith(f"{missing}.")
        ):
            raise
        print(f"check: warning: {error}; the start will need it", file=sys.stderr)


def main() -> int:
    """Checks every entry and returns the exit code."""
    try:
        for entry in entries(sys.argv[1]):
            look(*entry)
    except ConfigurationError as error:
        print(f"check: {error}", file=sys.stderr)
        return CONFIGURATION
    return 0


if __name__ == "__main__":
    sys.exit(main())
