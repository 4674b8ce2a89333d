"""The argument of train and predict functions."""

from typing import Any


class Message(dict[str, Any]):
    """A message with a payload.

    `msg.payload`, `msg["payload"]` and `msg.get("payload")` return the payload.
    """

    @property
    def payload(self) -> Any:
        """The payload, decoded from the sender's JSON, or None."""
        return self.get("payload")
