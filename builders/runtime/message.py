"""What a train or predict function is called with."""

from typing import Any


class Message(dict[str, Any]):
    """A message that reads both ways: `msg.payload`, and `msg["payload"]` or `msg.get("payload")`."""

    @property
    def payload(self) -> Any:
        """The payload as the sender's JSON had it; None if there was none."""
        return self.get("payload")
