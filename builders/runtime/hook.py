"""The hook: the interface between the server and the model of a predict function.

The hook is the attribute `hook` of a predict function. utils/serving.py has an implementation,
but any object with these members is valid. A function without a hook is ready as soon as it is
imported, and always runs in a thread.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class ModelHook(Protocol):
    """The model of a predict function, as the server uses it."""

    @property
    def ready(self) -> bool:
        """Whether the model can answer. If not, the route and /ready return 503."""

    @property
    def quick_bytes(self) -> int:
        """The largest body, in bytes, that the event loop answers.

        Larger bodies are answered in a thread.
        """

    @property
    def info(self) -> Mapping[str, str]:
        """The texts `model` and `digest` for /ready and /metrics."""

    def refresh(self) -> None:
        """Load the model file if it has changed.

        Raises an exception if that fails; the server reports its text. The server calls this
        method before the port opens and every second afterwards.
        """


@runtime_checkable
class DescribedHook(ModelHook, Protocol):
    """A hook that also describes its payloads, for /openapi.json."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """The description of the payloads.

        `request` and `reply` are JSON schemas. `examples` are request payloads by name.
        """
