"""Run the ONNX graph of a model file with ONNX Runtime."""

import os
import threading
from typing import Any

import numpy as np

# Since version 1.29, ONNX Runtime's Linux wheels send usage data to Microsoft unless this variable
# is set before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime  # noqa: E402

from utils.table.columns import Buffer  # noqa: E402

# This is ONNX Runtime's number for the severity "error".
ERRORS_ONLY = 3


class OneRow:
    """A session for one row, whose input and outputs are bound once.

    For a small model, passing arrays to the session takes longer than running it. The session's
    outputs must be int64 class numbers and float32 scores (1 x classes), or float32 numbers (1 x 1)
    if there are no classes.
    """

    def __init__(self, session: onnxruntime.InferenceSession, width: int, classes: int):
        self.buffer = Buffer(1, width)
        self._numbers = np.zeros(1, dtype=np.int64)
        self._scores = np.zeros((1, classes or 1), dtype=np.float32)
        arrays = [self._numbers, self._scores] if classes else [self._scores]

        # An OrtValue shares its array's memory.
        share = onnxruntime.OrtValue.ortvalue_from_numpy
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(session.get_inputs()[0].name, share(self.buffer.matrix))
        for output, array in zip(session.get_outputs(), arrays):
            self._binding.bind_ortvalue_output(output.name, share(array))

        self._run = session.run_with_iobinding

    def run(self) -> tuple[list[int], list[list[float]]]:
        """Return the class number and the scores (1 x classes) of the row in `buffer`."""
        self._run(self._binding)
        return self._numbers.tolist(), self._scores.tolist()


class OneRowOfThread(threading.local):
    """A OneRow for each thread, or None if the session's outputs can't be bound.

    In a shared OneRow, threads would overwrite each other's rows. threading.local calls __init__ in
    each thread.
    """

    def __init__(self, session: onnxruntime.InferenceSession, width: int, schema: dict[str, Any]):
        self.one_row: OneRow | None = None
        # The outputs of an estimator without probabilities have other shapes.
        if schema.get("scores", True) or not schema["classes"]:
            self.one_row = OneRow(session, width, len(schema["classes"]))


class Session:
    """A session of ONNX Runtime for the graph of a model file."""

    def __init__(self, model: bytes, width: int, schema: dict[str, Any]):
        self._classes = len(schema["classes"])
        self._has_scores: bool = schema.get("scores", True)
        self._session = _start_session(model)
        self._input = self._session.get_inputs()[0].name
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.of_thread = OneRowOfThread(self._session, width, schema)

    def run(self, matrix: np.ndarray) -> tuple[list[int], np.ndarray]:
        """Return the class numbers and the probabilities of an encoded matrix.

        `matrix` is rows x width, float32. The probabilities are rows x classes. Without classes,
        the second result has the predicted numbers (rows x 1).
        """
        if not len(matrix):
            return [], np.empty((0, self._classes), dtype=np.float32)
        outputs = self._session.run(self._outputs, {self._input: matrix})
        if not self._classes:
            return [], outputs[0].reshape(-1, 1)
        if not self._has_scores:
            return outputs[0].tolist(), np.empty((len(matrix), 0), dtype=np.float32)
        return outputs[0].tolist(), np.clip(outputs[1], 0.0, 1.0)


def _start_session(model: bytes) -> onnxruntime.InferenceSession:
    """Return an ONNX Runtime session of one thread."""
    options = onnxruntime.SessionOptions()
    # The workers already use all cores. Two threads also break a forest's ties differently from
    # one thread.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
