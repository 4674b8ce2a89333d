"""What train and predict functions are called with, and what they may return."""

from typing import Any


class Message(dict[str, Any]):
    """A message that reads as `msg.payload`, `msg["payload"]` and `msg.get("payload")`."""

    @property
    def payload(self) -> Any:
        """The payload as the sender's JSON had it, or None."""
        return self.get("payload")


def to_plain(value: Any) -> Any:
    """Return a value of numpy or pandas as plain Python; raise TypeError for any other."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")
