"""Rows to predictions: a model file ready to answer, and the decorator that puts it behind a predict function.

A predict function may carry an attribute `hook`, which the predict daemon asks; any object will do that has
- `refresh()`     called before the port opens and every second after: brings the model up to date; raises if it can't,
- `ready`         False: the route answers 503, and so does /ready,
- `quick_bytes`   bodies up to this size are answered on the event loop; longer ones in a thread,
- `info`          a dict of short texts (name, digest, ...) for /metrics,
- `schema`        (may be left out) for /openapi.json, a dict of JSON schemas `request` and `reply` of the payloads that
                  go in and out, and `examples`, payloads by name.
"""

import functools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# From 1.29 on ONNX Runtime's Linux wheels send usage data to their maker unless told not to before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime  # noqa: E402

from utils.encode_decode import ModelFileError, hmac_keys, init_model, model_path
from utils.json_schema import schemas
from utils.table_encoder import InvalidInstances, TableEncoder, cut, shown

# What the event loop may be held up for: a tenth of what a person or a load balancer notices.
QUICK_SECONDS = 0.002
# ONNX Runtime and scikit-learn or xgboost add float32 numbers in different orders.
TOLERANCE = 1e-5


class Unavailable(RuntimeError):
    """The model isn't there (yet); the daemon answers 503 and the client may try again."""

    status = 503
    code = "model_unavailable"


class OneRow:
    """A session whose input and outputs for one row are bound once: passing arrays costs more than a small model."""

    def __init__(self, session: onnxruntime.InferenceSession, width: int, classes: int):
        self._run = session.run_with_iobinding
        self._row = np.zeros((1, width), dtype=np.float32)
        self._cells = self._row.reshape(-1).data
        self._empty = memoryview(bytes(4 * width)).cast("f")
        self._label, self._scores = (
            np.zeros(1, dtype=np.int64),
            np.zeros((1, classes), dtype=np.float32),
        )
        self._binding = session.io_binding()
        bound = onnxruntime.OrtValue.ortvalue_from_numpy  # shares the array's memory
        label, scores = (output.name for output in session.get_outputs())
        self._binding.bind_ortvalue_input(session.get_inputs()[0].name, bound(self._row))
        self._binding.bind_ortvalue_output(label, bound(self._label))
        self._binding.bind_ortvalue_output(scores, bound(self._scores))
        self._lock = threading.Lock()

    def run(self, encoder: TableEncoder, rows: list[Any]) -> tuple[list[Any], list[Any]]:
        """The class and the scores (1 x classes) of the only row in `rows`; raises InvalidInstances."""
        with self._lock:
            self._cells[:] = self._empty
            encoder.write_by_row(rows, self._cells)
            self._run(self._binding)
            return self._label.tolist(), self._scores.tolist()


class Model:
    """A loaded model: encoder and ONNX session. It never changes; a new file makes a new one."""

    def __init__(self, contents: dict[str, Any], ignore_unknown: bool = False):
        self.name: str = contents["modelName"]
        self.digest: str = contents.get("digest", "")
        self.schema: dict[str, Any] = contents["schema"]
        self.classes: list[Any] = self.schema["classes"]
        self.golden: dict[str, Any] = contents["golden"]
        self.encoder = TableEncoder(contents["scaler"], ignore_unknown)
        options = onnxruntime.SessionOptions()
        # Workers, not threads, use the cores; and two threads break a forest's ties otherwise than one.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            contents["model"], options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        self._outputs = [output.name for output in self._session.get_outputs()]
        # Classes that are texts can't be bound: their length isn't known.
        bindable = self._session.get_outputs()[0].type == "tensor(int64)"
        self._one_row = (
            OneRow(self._session, self.encoder.width, len(self.classes)) if bindable else None
        )

    def answer(self, msg: Any) -> dict[str, Any]:
        """Answers `msg.payload["instances"]`, see predict(); raises InvalidInstances if there are none."""
        payload = msg.payload
        if not isinstance(payload, dict) or "instances" not in payload:
            found = (
                f"keys {cut(', '.join(payload))}" if isinstance(payload, dict) else shown(payload)
            )
            raise InvalidInstances(
                f'expected a payload {{"instances": [...]}}, found {found}', "instances"
            )
        return self.predict(payload["instances"])

    def predict(self, instances: Any) -> dict[str, Any]:
        """Answers a batch: `predictions` (one class per row), `scores` (rows x classes), `labels` (the classes).

        `instances`: a list of rows, each a list in column order or an object by column name; one flat row is a
        batch of one. Raises InvalidInstances, which names row and column.
        """
        rows = self.encoder.rows(instances)
        if len(rows) == 1 and self._one_row is not None:
            predictions, scores = self._one_row.run(self.encoder, rows)
        else:
            predictions, matrix = self.run(self.encoder.matrix(rows))
            scores = matrix.tolist()
        return {"predictions": predictions, "scores": scores, "labels": self.classes}

    def run(self, matrix: np.ndarray) -> tuple[list[Any], np.ndarray]:
        """The classes (one per row) and probabilities (rows x classes) of an encoded matrix (rows x width, float32)."""
        if not len(matrix):
            return [], np.empty((0, len(self.classes)), dtype=np.float32)
        labels, scores = self._session.run(self._outputs, {self._input: matrix})
        return labels.tolist(), scores

    def replay_golden(self) -> float:
        """Answers the golden rows and returns the seconds one row took; raises ModelFileError on another answer."""
        rows = self.golden["instances"]
        if not rows:
            raise ModelFileError(
                f"model {self.name}: has no golden rows, so nothing shows that it works; train it again"
            )
        started = time.perf_counter()
        answer = self.predict(rows)
        seconds = (time.perf_counter() - started) / len(rows)
        first = self.predict(rows[:1])  # takes another road than several rows
        labels, scores = (
            answer["predictions"] + first["predictions"],
            answer["scores"] + first["scores"],
        )
        expected = [self.golden[name] + self.golden[name][:1] for name in ("predictions", "scores")]
        difference = np.abs(np.array(scores) - np.array(expected[1])).max(initial=0.0)
        if labels != expected[0] or not difference <= TOLERANCE:
            raise ModelFileError(
                f"model {self.name}: answers its golden rows otherwise than when it was trained "
                f"(scores differ by {difference:.5f}); train it again with this image's library versions"
            )
        return seconds


class ServedModel:
    """Keeps the current good Model of one file: the hook behind a predict function."""

    def __init__(self, name: str, directory: str = "models", ignore_unknown: bool = False):
        self.name = name
        self.directory = directory
        self.ignore_unknown = ignore_unknown
        self.model: Model | None = None
        self.quick_bytes = 0
        self._seen: tuple[int, ...] | None = None
        self._problem: ModelFileError | None = None

    @property
    def ready(self) -> bool:
        return self.model is not None

    @property
    def info(self) -> dict[str, str]:
        return {"model": self.name, "digest": self.model.digest if self.model else ""}

    @property
    def schema(self) -> dict[str, Any]:
        return (
            schemas(self.model.schema, self.model.golden, self.ignore_unknown) if self.model else {}
        )

    def current(self) -> Model:
        """The model, loaded now if no daemon has done so; raises Unavailable with the reason."""
        if self.model is None:
            try:
                self.refresh()
            except ModelFileError as error:
                raise Unavailable(str(error)) from error
        assert self.model is not None
        return self.model

    def refresh(self) -> None:
        """Loads the file if it is another than the last one tried; raises ModelFileError and keeps the good model."""
        identity = _identity(model_path(self.name, self.directory))
        if identity != self._seen:
            self._problem = None
            try:
                self._load()
            except ModelFileError as problem:
                self._problem = problem
            self._seen = identity
        if self._problem is not None:
            raise self._problem

    def _load(self) -> None:
        """Puts the file's model into service once it has answered its golden rows."""
        model = _loaded(init_model(self.name, self.directory), self.ignore_unknown)
        try:
            seconds = min(model.replay_golden() for _ in range(3))
            row_bytes = len(str(model.golden["instances"])) / len(model.golden["instances"])
        except ModelFileError:
            raise
        except (
            Exception
        ) as error:  # rows that this encoder refuses, answers of another shape, a graph that fails
            raise ModelFileError(
                f"model {model.name}: answers its golden rows otherwise than when it was trained ({error}); "
                "train it again with this image's library versions"
            ) from error
        self.quick_bytes = int(QUICK_SECONDS / seconds * row_bytes)
        self.model = model


def _loaded(contents: dict[str, Any], ignore_unknown: bool) -> Model:
    """A Model of `contents`; raises ModelFileError if its parts don't make one."""
    try:
        return Model(contents, ignore_unknown)
    except Exception as error:  # ONNX Runtime raises many kinds
        raise ModelFileError(
            f"model {contents['modelName']}: can't be loaded: {error}; train it again"
        ) from error


def _identity(path: Path) -> tuple[int, ...]:
    """What changes when a file is replaced; empty if there is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


def model_name(written: str, environ: dict[str, str]) -> str:
    """The name of the model to serve: MODEL_NAME (or the document's MODElNAME) if set, else the one `written`.

    In an image with several routes neither variable counts: it can't mean all of them.
    """
    if "," in environ.get("ROUTES", ""):
        return written
    return environ.get("MODElNAME") or environ.get("MODEL_NAME") or written


def served(
    name: str,
) -> Callable[[Callable[[Any, Model], dict[str, Any]]], Callable[[Any], dict[str, Any]]]:
    """Puts models/NAME.pkl behind a predict function: `function(msg, model)` becomes `function(msg)`.

    Environment: MODEL_NAME or MODElNAME name another file, UNKNOWN=ignore serves categories unknown to training.
    """

    hmac_keys()  # a bad key ends the start: waiting for a good model would not help

    def decorate(
        function: Callable[[Any, Model], dict[str, Any]],
    ) -> Callable[[Any], dict[str, Any]]:
        ignore_unknown = os.environ.get("UNKNOWN") == "ignore"
        hook = ServedModel(model_name(name, dict(os.environ)), ignore_unknown=ignore_unknown)

        @functools.wraps(function)
        def predict(msg: Any) -> dict[str, Any]:
            return function(msg, hook.current())

        predict.hook = hook  # type: ignore[attr-defined]
        return predict

    return decorate
