"""Serve a model file behind a predict function, and reload it when it changes.

ServedModel is the function's hook: builders/runtime/hook.py describes the protocol, ModelHook.
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from utils.encode_decode import init_model, model_path
from utils.errors import ModelFileError
from utils.json_schema import schemas
from utils.model import Model, self_check_error
from utils.signing import hmac_keys

Answer = dict[str, Any]

# How long a request may block the event loop: a tenth of what a person or a load balancer notices.
QUICK_SECONDS = 0.002
# A measurement that another process delays is repeated, and the best one counts.
REPLAYS = 3


class Unavailable(RuntimeError):
    """Report that the model isn't there (yet).

    The daemon answers 503 and the client may try again.
    """

    status = 503
    code = "model_unavailable"


class ServedModel:
    """Keep the current valid Model of one file: the hook behind a predict function."""

    def __init__(self, name: str, directory: str = "models", ignore_unknown: bool = False):
        self.name = name
        self.directory = directory
        self.ignore_unknown = ignore_unknown
        self.model: Model | None = None
        self.quick_bytes = 0
        self._last_identity: tuple[int, ...] | None = None
        self._problem: ModelFileError | None = None

    @property
    def ready(self) -> bool:
        return self.model is not None

    @property
    def info(self) -> dict[str, str]:
        digest = self.model.digest if self.model else ""
        return {"model": self.name, "digest": digest}

    @property
    def schema(self) -> dict[str, Any]:
        if self.model is None:
            return {}
        return schemas(self.model.schema, self.model.golden, self.ignore_unknown)

    def current(self) -> Model:
        """Return the model, loaded now if no daemon has done so.

        Raises Unavailable with the reason.
        """
        if self.model is None:
            try:
                self.refresh()
            except ModelFileError as error:
                raise Unavailable(str(error)) from error
        assert self.model is not None
        return self.model

    def refresh(self) -> None:
        """Load the file if it differs from the last one tried.

        Raises ModelFileError, also for the same invalid file again, and keeps the valid model.
        """
        identity = _identity(model_path(self.name, self.directory))
        if identity != self._last_identity:
            self._problem = None
            try:
                self._load()
            except ModelFileError as problem:
                self._problem = problem
            self._last_identity = identity
        if self._problem is not None:
            raise self._problem

    def _load(self) -> None:
        """Serve the file's model once it has answered its golden rows."""
        contents = init_model(self.name, self.directory)
        model = _create_model(contents, self.ignore_unknown)
        self.quick_bytes = _quick_bytes(model)
        self.model = model


def _create_model(contents: dict[str, Any], ignore_unknown: bool) -> Model:
    """Return a Model of `contents`; raise ModelFileError if its parts don't make one."""
    try:
        return Model(contents, ignore_unknown)
    # ONNX Runtime raises many kinds.
    except Exception as error:
        raise ModelFileError(
            f"model {contents['modelName']}: can't be loaded: {error}. Train it again."
        ) from error


def _quick_bytes(model: Model) -> int:
    """Return the size of the largest body that `model` answers within QUICK_SECONDS.

    Measured on the golden rows. Raises ModelFileError if the model doesn't answer them as recorded.
    """
    try:
        row_seconds = min(model.replay_golden() for _ in range(REPLAYS))
        rows = model.golden["instances"]
        row_bytes = len(str(rows)) / len(rows)
    except ModelFileError:
        raise
    # Rows that the encoder rejects, answers of another shape, a graph that fails.
    except Exception as error:
        raise self_check_error(model.name, error) from error
    return int(QUICK_SECONDS / row_seconds * row_bytes)


def _identity(path: Path) -> tuple[int, ...]:
    """Return numbers that change when a file is replaced; none if there is no file."""
    try:
        status = os.lstat(path)
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


def model_name(written: str, environ: dict[str, str]) -> str:
    """Return the name of the model to serve.

    It is MODEL_NAME (or the document's MODElNAME) if set, else the one `written` in predict.py. In
    an image with several routes neither variable counts: it can't mean all of them.
    """
    if "," in environ.get("ROUTES", ""):
        return written
    return environ.get("MODElNAME") or environ.get("MODEL_NAME") or written


def served(name: str) -> Callable[[Callable[[Any, Model], Answer]], Callable[[Any], Answer]]:
    """Serve models/NAME.pkl: `function(msg, model)` becomes `function(msg)`.

    Environment: MODEL_NAME or MODElNAME name another file, UNKNOWN=ignore accepts categories that
    training never saw. Raises ModelFileError for a bad key in MODEL_HMAC_KEY_FILE.
    """
    # A bad key ends start-up: waiting for a valid model would not help.
    hmac_keys()

    def decorate(function: Callable[[Any, Model], Answer]) -> Callable[[Any], Answer]:
        ignore_unknown = os.environ.get("UNKNOWN") == "ignore"
        hook = ServedModel(model_name(name, dict(os.environ)), ignore_unknown=ignore_unknown)

        @functools.wraps(function)
        def predict(msg: Any) -> Answer:
            return function(msg, hook.current())

        predict.hook = hook  # type: ignore[attr-defined]
        return predict

    return decorate
