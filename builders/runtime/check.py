"""Finds, at build, the functions that the variables name, so that a misspelt route fails the build and not a pod.

Usage: python -m runtime.check train|predict       exit code 78 if a module isn't found or a name isn't defined

Any other trouble on import is a warning: an application may open its model at import, and it isn't there yet.
"""

import importlib
import importlib.util
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
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError as error:
        if not module.startswith(f"{error.name}"):
            return warn(where, module, error)
        found = None
    except BaseException as error:
        return warn(where, module, error)
    if found is None:
        raise ConfigurationError(f"{where}: there is no module {module} in the image")
    try:
        imported = importlib.import_module(module)
    except BaseException as error:
        return warn(where, module, error)
    if not callable(getattr(imported, function, None)):
        raise ConfigurationError(f"{where}: {module} defines no function {function}")


def warn(where: str, module: str, error: BaseException) -> None:
    """Says that a module could not be imported at build, and that the start will tell."""
    print(f"check: warning: {where}: importing {module} failed: {error!r}; it must work at start", file=sys.stderr)


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
