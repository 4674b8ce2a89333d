"""Finds, during a build, the functions that the variables name.

Usage: python -m runtime.check train|predict

Exit code 78 if a module does not exist, is not valid Python or does not define the function. Any
other failure of the import is a warning, because an application may open its model at import,
and the model is not there during a build.
"""

import os
import sys
from collections.abc import Iterator

from runtime.environment import CONFIGURATION, ConfigurationError, check
from runtime.loader import load_function


def entries(role: str) -> Iterator[tuple[str, str, str]]:
    """Yield what the image will call: the variable or route, the module, the function."""
    routes = check(os.environ, role)
    if role == "train":
        yield "TRAIN_MODULE", os.environ["TRAIN_MODULE"], os.environ["TRAIN_FUNCTION"]
        return
    for route in routes:
        yield f"route {route.path}", route.module, route.function


def check_entry(where: str, module: str, function: str) -> None:
    """Raise ConfigurationError for an entry that cannot work; print a warning if it may not."""
    try:
        load_function(where, module, function)
    except ConfigurationError as error:
        if is_certain(error, module):
            raise
        print(f"check: warning: {error}. The server needs it at start-up.", file=sys.stderr)


def is_certain(error: ConfigurationError, module: str) -> bool:
    """Return whether the function cannot be loaded at start-up either."""
    cause = error.__cause__
    if cause is None or isinstance(cause, SyntaxError):
        return True
    if not isinstance(cause, ModuleNotFoundError) or not cause.name:
        return False
    # The missing module is the function's own module or one of its packages.
    return f"{module}.".startswith(f"{cause.name}.")


def main() -> int:
    """Check every entry and return the exit code."""
    try:
        for where, module, function in entries(sys.argv[1]):
            check_entry(where, module, function)
    except ConfigurationError as error:
        print(f"check: {error}", file=sys.stderr)
        return CONFIGURATION
    return 0


if __name__ == "__main__":
    sys.exit(main())
