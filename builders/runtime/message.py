"""The argument of train and predict functions, and conversion of their results."""

from typing import Any


class Message(dict[str, Any]):
    """A message with a payload.

    `msg.payload`, `msg["payload"]` and `msg.get("payload")` return the payload.
    """

    @property
    def payload(self) -> Any:
        """The payload, decoded from the sender's JSON, or None."""
        return self.get("payload")


def to_plain(value: Any) -> Any:
    """Return a value of numpy or pandas as a plain Python value.

    Raises TypeError for any other value.
    """
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")
