"""SampleHook, a hook for tests that need no model file."""


class SampleHook:
    """A hook whose model is available if `ready` is true; see runtime.hook.ModelHook."""

    quick_bytes = 0
    info = {"model": "a_model", "digest": "1234"}

    def __init__(self, ready: bool = False):
        self.ready = ready

    def refresh(self) -> None:
        """Raise an error if the model is not available."""
        if not self.ready:
            raise RuntimeError("models/a_model.pkl: no such file")
