"""The hook: what a predict function may offer to the server that serves it.

A predict function carries its hook as the attribute `hook`. utils/serving.py has an
implementation; any object with these members works. A function without a hook is ready once it
is imported, and always runs in a thread.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class ModelHook(Protocol):
    """The model behind a predict function, as the server sees it."""

    @property
    def ready(self) -> bool:
        """Whether the model can answer. If not, the route and /ready return 503."""

    @property
    def quick_bytes(self) -> int:
        """The largest body, in bytes, that is answered on the event loop instead of in a thread."""

    @property
    def info(self) -> Mapping[str, str]:
        """Short texts, `model` and `digest`, for /ready and /metrics."""

    def refresh(self) -> None:
        """Bring the model up to date; raise an exception, whose text is reported, if that fails.

        The server calls it before the port opens and every second afterwards.
        """


@runtime_checkable
class DescribedHook(ModelHook, Protocol):
    """A hook that also describes its payloads, for /openapi.json."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """JSON schemas `request` and `reply` of the payloads, and `examples`, payloads by name."""
