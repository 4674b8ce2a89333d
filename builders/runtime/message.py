"""The argument of train and predict functions, and their call."""

import inspect
from collections.abc import Callable
from typing import Any


class Message(dict[str, Any]):
    """A message with a payload.

    `msg.payload`, `msg["payload"]` and `msg.get("payload")` return the payload.
    """

    @property
    def payload(self) -> Any:
        """The payload, decoded from the sender's JSON, or None."""
        return self.get("payload")


def call(function: Callable[[Any], Any], message: Any) -> Any:
    """Return the function's answer; wait for it if the function is `async`."""
    answer = function(message)
    # Most answers are dicts, and the other check takes longer.
    if isinstance(answer, dict) or not inspect.isawaitable(answer):
        return answer

    # The import of asyncio takes 50 ms, which few trainings need.
    from runtime.coroutines import wait

    return wait(answer)
