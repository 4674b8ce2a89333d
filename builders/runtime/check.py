"""Check at build time that the functions in `.s2i/environment` exist.

Usage: python -m runtime.check train|predict

The exit code is 78 if a module does not exist, is not valid Python or does not define the
function. Any other failure of an import is a warning: an application may read its model file at
import, and that file does not exist at build time.
"""

import os
import sys
from collections.abc import Iterator

from runtime.environment import CONFIGURATION, parse_routes
from runtime.loader import load_function
from runtime.settings import ConfigurationError
from runtime.text import truncate


def entries(role: str) -> Iterator[tuple[str, str, str]]:
    """Yield the functions that the image calls.

    Each is a tuple of the variable or route, the module and the function's name.
    """
    # assemble has checked the variables before.
    if role == "train":
        yield "TRAIN_MODULE", os.environ["TRAIN_MODULE"], os.environ["TRAIN_FUNCTION"]
        return
    for route in parse_routes(os.environ["ROUTES"]):
        yield f"route {route.path}", route.module, route.function


def check_entry(where: str, module: str, function: str) -> None:
    """Raise ConfigurationError if the function can never be loaded.

    Prints a warning if loading failed now but may succeed at start-up.
    """
    try:
        load_function(where, module, function)
    except ConfigurationError as error:
        if is_certain(error, module):
            raise
        problem = truncate(str(error))
        print(f"check: warning: {problem}. The server needs it at start-up.", file=sys.stderr)


def is_certain(error: ConfigurationError, module: str) -> bool:
    """Return whether loading the function will also fail at start-up."""
    cause = error.__cause__
    if cause is None or isinstance(cause, SyntaxError):
        return True
    if not isinstance(cause, ModuleNotFoundError) or not cause.name:
        return False
    # A missing module is certain only if it is the function's module or one of its packages.
    return f"{module}.".startswith(f"{cause.name}.")


def main() -> int:
    """Check every entry and return the exit code."""
    try:
        for where, module, function in entries(sys.argv[1]):
            check_entry(where, module, function)
    except ConfigurationError as error:
        print(f"check: {truncate(str(error))}", file=sys.stderr)
        return CONFIGURATION
    return 0


if __name__ == "__main__":
    sys.exit(main())
