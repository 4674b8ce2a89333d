"""Finds, at build, the functions that the variables name, so that a misspelt route fails the build and not a pod.

Usage: python -m runtime.check train|predict       exit code 78 if a module isn't found or a name isn't defined

Any other trouble on import is a warning: an application may open its model at import, and it isn't there yet.
"""

import importlib
import os
import sys
from collections.abc import Iterator

from runtime.environment import CONFIGURATION, ConfigurationError, check


def entries(role: str) -> Iterator[tuple[str, str, str]]:
    """What the image will call: who names it, module, function."""
    routes = check(os.environ, role)
    if role == "train":
        yield "TRAIN_MODULE", os.environ["TRAIN_MODULE"], os.environ["TRAIN_FUNCTION"]
        return
    for route in routes:
        yield f"route {route.path}", route.module, route.function


def find(where: str, module: str, function: str) -> None:
    """Raises ConfigurationError if there is no such module, or it doesn't define the function."""
    try:
        imported = importlib.import_module(module)
    except BaseException as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{module}.".startswith(f"{missing}."):
            raise ConfigurationError(f"{where}: there is no module {missing} in the image") from None
        print(f"check: warning: {where}: importing {module} failed: {error!r}; the start will need it", file=sys.stderr)
        return
    if not callable(getattr(imported, function, None)):
        raise ConfigurationError(f"{where}: {module} defines no function {function}")


def main() -> int:
    """Checks every entry and returns the exit code."""
    try:
        for entry in entries(sys.argv[1]):
            find(*entry)
    except ConfigurationError as error:
        print(f"check: {error}", file=sys.stderr)
        return CONFIGURATION
    return 0


if __name__ == "__main__":
    sys.exit(main())
