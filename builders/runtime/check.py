"""Check at build time that the functions in `.s2i/environment` can be loaded.

Usage: python -m runtime.check train|predict [strict]

The exit code is 78 if loading them is certain to fail at start-up: a module or a package does not
exist, is not valid Python, hides another module, or does not define the name. Any other failure of
an import is a warning: an application may read its model file at import, and that file does not
exist at build time. With `strict`, it is an error too, and the traceback is printed.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from runtime.environment import CONFIGURATION, parse_routes
from runtime.imports import MOUNTED, certain_failure
from runtime.loader import load_function
from runtime.names import hidden_packages
from runtime.settings import ConfigurationError
from runtime.text import format_traceback, truncate

# The user of builders/Dockerfile.
SERVER_USER = 1001
# The files of the frames between load_function and the application.
OF_IMPORT = re.compile(r"runtime/loader\.py$|importlib[./_]")


def become_server_user() -> None:
    """Take the user and the home directory of a container, if root builds an image."""
    if os.environ.get("IN_IMAGE") == "1" and os.getuid() == 0:
        os.setgroups([])
        os.setgid(0)
        os.setuid(SERVER_USER)
        # builders/s2i/bin/run sets them for a user without a home directory.
        os.environ.update(HOME="/tmp", USER=str(SERVER_USER))


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


def check_entry(where: str, module: str, function: str, strict: bool = False) -> None:
    """Raise ConfigurationError if the function can never be loaded.

    Prints a warning if loading failed now but may succeed at start-up, unless `strict`.
    """
    try:
        load_function(where, module, function)
    except ConfigurationError as error:
        if strict and error.__cause__:
            print(application_traceback(error.__cause__), end="", file=sys.stderr)
        if strict or is_certain(error):
            raise
        failure = certain_failure(module, Path())
        if failure:
            raise ConfigurationError(f"{where}: importing {module} failed: {failure}") from None
        problem = truncate(str(error))
        advice = "The server repeats this import at start-up."
        print(f"check: warning: {problem}. {advice}", file=sys.stderr)


def application_traceback(error: BaseException) -> str:
    """Return the traceback of a failed import, from the application's first line."""
    frames = error.__traceback__
    while frames and OF_IMPORT.search(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return format_traceback(error.with_traceback(frames))


def is_certain(error: ConfigurationError) -> bool:
    """Return whether loading the function will also fail at start-up."""
    cause = error.__cause__
    if cause is None or isinstance(cause, SyntaxError):
        return True
    if not isinstance(cause, ImportError):
        return False
    top = (cause.name or "").split(".")[0]
    is_missing = isinstance(cause, ModuleNotFoundError) and bool(top)
    # A shared library may be missing now that the machine of the server has, such as that of a GPU.
    has_no_name = re.match("cannot import name", str(cause)) is not None
    return (is_missing or has_no_name) and top not in MOUNTED


def main() -> int:
    """Check every entry and return the exit code."""
    problems = list(hidden_packages(Path()))
    for problem in problems:
        print(f"check: {problem}", file=sys.stderr)
    if problems:
        return CONFIGURATION

    become_server_user()
    strict = sys.argv[2:] == ["strict"]
    try:
        for where, module, function in entries(sys.argv[1]):
            check_entry(where, module, function, strict)
    except ConfigurationError as error:
        print(f"check: {truncate(str(error))}", file=sys.stderr)
        return CONFIGURATION
    return 0


if __name__ == "__main__":
    sys.exit(main())
