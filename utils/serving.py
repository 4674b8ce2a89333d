"""Serve a model file with a predict function, and reload the file when it changes.

ServedModel is the hook of the function. builders/runtime/hook.py describes its protocol, ModelHook.
"""

import functools
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from utils.encode_decode import init_model, model_path
from utils.errors import ModelFileError
from utils.json_schema import schemas
from utils.model import Model, self_check_error
from utils.signing import hmac_keys

Answer = dict[str, Any]

# A request may block the event loop for this time. It is a tenth of the delay that people and load
# balancers notice.
QUICK_SECONDS = 0.002
# Other processes can delay a measurement. The fastest of several measurements counts.
REPLAYS = 3
# An exception can print a complete array.
PROBLEM_LENGTH = 300


class Unavailable(RuntimeError):
    """The model file does not exist or is not valid.

    The server answers 503, and the client may try again.
    """

    status = 503
    code = "model_unavailable"


class ServedModel:
    """The hook of a predict function, with the current valid Model of one file.

    `trusted` are types that a file may contain in the complete form (utils/forms/skops.py).
    `load` is an author's function that loads an estimator.
    """

    def __init__(
        self,
        name: str,
        directory: str = "models",
        ignore_unknown: bool = False,
        trusted: Collection[str] = (),
        load: Callable[[bytes], Any] | None = None,
    ):
        self.name = name
        self.directory = directory
        self.ignore_unknown = ignore_unknown
        self.trusted = trusted
        self.load = load
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
        return schemas(self.model.schema, self.model.golden, self.model.encoder)

    def current(self) -> Model:
        """Return the model, and load it first if that has not been done.

        The server loads it before the first request. Other callers do not.
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
        """Load the file if it has changed since the last attempt.

        Raises ModelFileError if the file is invalid, at every call until the file is replaced. The
        last valid model stays in use.
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
        """Load the file and use its model if the golden answers are correct."""
        contents = init_model(self.name, self.directory)
        if contents.get("engine", "onnx") != "onnx":
            self._try_first(contents)
        model = self._create_model(contents)
        self.quick_bytes = _quick_bytes(model)
        self.model = model

    def _try_first(self, contents: dict[str, Any]) -> None:
        """Load a file in the complete form in a process of its own, which it may crash.

        The libraries are imported here, because each process would need seconds for that.
        """
        from utils.forms.skops import import_libraries
        from utils.forms.trial import try_in_child

        import_libraries(contents)
        try_in_child(contents["modelName"], lambda: _quick_bytes(self._create_model(contents)))

    def _create_model(self, contents: dict[str, Any]) -> Model:
        """Return a Model of `contents`.

        Raises ModelFileError if the parts of `contents` are not valid.
        """
        try:
            return Model(contents, self.ignore_unknown, self.trusted, self.load)
        except ModelFileError:
            raise
        # ONNX Runtime and skops raise many types of exceptions.
        except Exception as error:
            problem = f"can't be loaded: {str(error)[:PROBLEM_LENGTH]}"
            raise ModelFileError(
                f"model {contents['modelName']}: {problem}. Train it again."
            ) from error


def _quick_bytes(model: Model) -> int:
    """Return the size of the largest body that `model` answers within QUICK_SECONDS.

    The golden rows are used for the measurement. Raises ModelFileError if the answers differ from
    the recorded ones.
    """
    try:
        # Only the time of the fast form is used (below).
        replays = REPLAYS if model.engine == "onnx" else 1
        row_seconds = min(model.replay_golden() for _ in range(replays))
        rows = model.golden["instances"]
        row_bytes = len(str(rows)) / len(rows)
    except ModelFileError:
        raise
    # The encoder may reject the rows, the graph may fail, or the answers may have another shape.
    except Exception as error:
        raise self_check_error(model.name, error) from error
    # A call in a thread is in the log if it ends the process, which compiled code may do.
    return int(QUICK_SECONDS / row_seconds * row_bytes) if model.engine == "onnx" else 0


def _identity(path: Path) -> tuple[int, ...]:
    """Return numbers that change when a file is replaced, or () without a file."""
    try:
        status = os.lstat(path)
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


def model_name(default: str, environ: dict[str, str]) -> str:
    """Return the name of the model to serve.

    It is the value of MODElNAME or MODEL_NAME if one of them is set, or else `default`. In an image
    with several routes the variables are ignored, because one name cannot apply to all routes.
    """
    if "," in environ.get("ROUTES", ""):
        return default
    return environ.get("MODElNAME") or environ.get("MODEL_NAME") or default


def served(
    name: str, trusted: Collection[str] = (), load: Callable[[bytes], Any] | None = None
) -> Callable[[Callable[[Any, Model], Answer]], Callable[[Any], Answer]]:
    """Return a decorator that serves models/NAME.pkl with a predict function.

    The decorator turns `function(msg, model)` into `function(msg)`. In the environment, MODEL_NAME
    or MODElNAME names another file, and UNKNOWN=ignore accepts categories that are not in the
    training data. `trusted` are types that the file may contain in the complete form, which
    training prints. `load` loads an estimator that train.py saves with a function of its own.
    Raises ModelFileError for an invalid key in MODEL_HMAC_KEY_FILE.
    """
    # An invalid key stops the start-up, because no model file could be read with it.
    hmac_keys()

    def decorate(function: Callable[[Any, Model], Answer]) -> Callable[[Any], Answer]:
        ignore_unknown = os.environ.get("UNKNOWN") == "ignore"
        current_name = model_name(name, dict(os.environ))
        hook = ServedModel(current_name, "models", ignore_unknown, trusted, load)

        @functools.wraps(function)
        def predict(msg: Any) -> Answer:
            return function(msg, hook.current())

        predict.hook = hook  # type: ignore[attr-defined]
        return predict

    return decorate
