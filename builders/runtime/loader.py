"""Load the functions that `.s2i/environment` names."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from runtime.settings import ConfigurationError


def load_function(where: str, module: str, name: str) -> Callable[[Any], Any]:
    """Import `module` and return its function `name`.

    `where` begins the error message, for example `route a`. Raises ConfigurationError. Its
    `__cause__` is the exception of the import, or None if only the name is missing.
    """
    try:
        imported = importlib.import_module(module)
    # A module that calls sys.exit() must not end the process that imports it.
    except (Exception, SystemExit) as error:
        message = f"{where}: importing {module} failed: {error!r}"
        raise ConfigurationError(message) from error

    function = getattr(imported, name, None)
    if not callable(function):
        raise ConfigurationError(f"{where}: {module} has no function {name}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        advice = "Return the complete answer instead."
        raise ConfigurationError(f"{where}: {module}.{name} has a `yield`. {advice}")
    return function  # type: ignore[no-any-return, unused-ignore]
