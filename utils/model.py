"""Predict with the encoder and the ONNX graph of a model file.

Training also uses this module, so it must not import utils.serving.
"""

import os
import threading
import time
from typing import Any

import numpy as np

# Since version 1.29, ONNX Runtime's Linux wheels send usage data to Microsoft unless this variable
# is set before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime  # noqa: E402

from utils.errors import ModelFileError
from utils.table.encoder import Buffer, TableEncoder
from utils.table.rows import InvalidInstances, format_value, truncate

# ONNX Runtime and scikit-learn or xgboost add float32 numbers in different orders.
TOLERANCE = 1e-5
# This is ONNX Runtime's number for the severity "error".
ERRORS_ONLY = 3


class OneRow:
    """A session for one row, whose input and outputs are bound once.

    For a small model, passing arrays to the session takes longer than running it. The session's
    outputs must be int64 labels and float32 scores (1 x classes).
    """

    def __init__(self, session: onnxruntime.InferenceSession, width: int, classes: int):
        self.buffer = Buffer(1, width)
        self._label = np.zeros(1, dtype=np.int64)
        self._scores = np.zeros((1, classes), dtype=np.float32)

        input_name = session.get_inputs()[0].name
        label_name, scores_name = (output.name for output in session.get_outputs())
        # An OrtValue shares its array's memory.
        share = onnxruntime.OrtValue.ortvalue_from_numpy
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(input_name, share(self.buffer.matrix))
        self._binding.bind_ortvalue_output(label_name, share(self._label))
        self._binding.bind_ortvalue_output(scores_name, share(self._scores))

        self._run = session.run_with_iobinding

    def run(self) -> tuple[list[Any], list[Any]]:
        """Return the class and the scores (1 x classes) of the row in `buffer`."""
        self._run(self._binding)
        return self._label.tolist(), self._scores.tolist()


class OneRowOfThread(threading.local):
    """A OneRow for each thread, or None if the session's outputs can't be bound.

    In a shared OneRow, threads would overwrite each other's rows. threading.local calls __init__ in
    each thread.
    """

    def __init__(self, session: onnxruntime.InferenceSession, width: int, classes: int):
        label = session.get_outputs()[0]
        self.one_row: OneRow | None = None
        # Classes that are texts can't be bound, because their length is not known.
        if label.type == "tensor(int64)":
            self.one_row = OneRow(session, width, classes)


class Model:
    """The encoder and the ONNX session of one model file.

    A Model never changes. A new file is loaded into a new Model.
    """

    def __init__(self, contents: dict[str, Any], ignore_unknown: bool = False):
        self.name: str = contents["modelName"]
        self.digest: str = contents.get("digest", "")
        self.schema: dict[str, Any] = contents["schema"]
        self.classes: list[Any] = self.schema["classes"]
        self.golden: dict[str, Any] = contents["golden"]
        self.encoder = TableEncoder(contents["scaler"], ignore_unknown)

        self._session = _start_session(contents["model"])
        self._input = self._session.get_inputs()[0].name
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._of_thread = OneRowOfThread(self._session, self.encoder.width, len(self.classes))

    def answer(self, msg: Any) -> dict[str, Any]:
        """Return the result of predict() for `msg.payload["instances"]`.

        Raises InvalidInstances if the payload has no instances or they are invalid.
        """
        payload = msg.payload
        if isinstance(payload, dict) and "instances" in payload:
            return self.predict(payload["instances"])

        if isinstance(payload, dict):
            found = f"keys {truncate(', '.join(payload))}"
        else:
            found = format_value(payload)
        raise InvalidInstances(
            f'expected a payload {{"instances": [...]}}, found {found}', "instances"
        )

    def predict(self, instances: Any) -> dict[str, Any]:
        """Return `predictions`, `scores` and `labels` of a batch.

        TableEncoder.encode describes `instances`. `predictions` has one class per row, and `scores`
        is rows x classes. `labels` are the classes in the order of the scores.
        Raises InvalidInstances, which names the row and the column.
        """
        one_row = self._of_thread.one_row
        buffer = one_row.buffer if one_row else None
        matrix = self.encoder.encode(instances, buffer)
        if one_row is not None and len(matrix) == 1:
            predictions, scores = one_row.run()
        else:
            predictions, probabilities = self.run(matrix)
            scores = probabilities.tolist()
        return {"predictions": predictions, "scores": scores, "labels": self.classes}

    def run(self, matrix: np.ndarray) -> tuple[list[Any], np.ndarray]:
        """Return the classes and probabilities of an encoded matrix.

        `matrix` is rows x width, float32. There is one class per row. The probabilities are
        rows x classes.
        """
        if not len(matrix):
            return [], np.empty((0, len(self.classes)), dtype=np.float32)
        labels, scores = self._session.run(self._outputs, {self._input: matrix})
        return labels.tolist(), scores

    def replay_golden(self) -> float:
        """Predict the golden rows and return the seconds per row.

        Raises ModelFileError if an answer differs from the recorded one.
        """
        rows = self.golden["instances"]
        if not rows:
            raise ModelFileError(
                f"model {self.name}: has no golden rows, so it cannot be checked. Train it again."
            )

        started = time.perf_counter()
        answer = self.predict(rows)
        seconds = (time.perf_counter() - started) / len(rows)
        self._compare(answer, self.golden)

        # One row uses a different code path than batches.
        first_answer = self.predict(rows[:1])
        first_golden = {key: self.golden[key][:1] for key in ("predictions", "scores")}
        self._compare(first_answer, first_golden)
        return seconds

    def _compare(self, answer: dict[str, Any], recorded: dict[str, Any]) -> None:
        """Raise ModelFileError if `answer` differs from the recorded one."""
        differences = np.abs(np.array(answer["scores"]) - np.array(recorded["scores"]))
        difference = differences.max(initial=0.0)
        same_classes = answer["predictions"] == recorded["predictions"]
        # The condition is not "difference > TOLERANCE", because that is false for NaN.
        if not same_classes or not difference <= TOLERANCE:
            raise self_check_error(self.name, f"largest difference {difference:.5f}")


def self_check_error(name: str, reason: object) -> ModelFileError:
    """Return the error of a model whose answers for its golden rows are wrong."""
    return ModelFileError(
        f"model {name}: self-check failed: predictions for the golden rows differ from those at "
        f"training ({reason}). Retrain with this image's library versions."
    )


def _start_session(model: bytes) -> onnxruntime.InferenceSession:
    """Return an ONNX Runtime session of one thread."""
    options = onnxruntime.SessionOptions()
    # The workers already use all cores. Two threads also break a forest's ties differently from
    # one thread.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
