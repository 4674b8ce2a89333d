"""Train and predict functions: what they are called with, where they are found, what they may return."""

import importlib
from collections.abc import Callable
from typing import Any

from runtime.environment import ConfigurationError


class Message(dict[str, Any]):
    """A message that reads both ways: `msg.payload`, and `msg["payload"]` or `msg.get("payload")`."""

    @property
    def payload(self) -> Any:
        """The payload as the sender's JSON had it; None if there was none."""
        return self.get("payload")


def find(where: str, module: str, name: str) -> Callable[[Message], Any]:
    """The function `name` of `module`; raises ConfigurationError, whose cause is what went wrong on import, if any."""
    try:
        imported = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise ConfigurationError(f"{where}: importing {module} failed: {error!r}") from error
    if not callable(getattr(imported, name, None)):
        raise ConfigurationError(f"{where}: {module} has no function {name}")
    return getattr(imported, name)


def plain(value: Any) -> Any:
    """The values of numpy and pandas as JSON's; raises TypeError for others."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")
