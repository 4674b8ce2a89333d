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
from utils.table.columns import Buffer
from utils.table.encoder import TableEncoder
from utils.table.rows import InvalidInstances, format_value, truncate

# ONNX Runtime and scikit-learn or xgboost add float32 numbers in different orders.
TOLERANCE = 1e-5
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

        self.has_scores: bool = self.schema.get("scores", True)
        self.tolerance: float = self.schema.get("tolerance", TOLERANCE)
        # A class is its number if the classes are 0 to n-1. False and True are not numbers in JSON.
        are_integers = set(map(type, self.classes)) == {int}
        is_in_order = self.classes == list(range(len(self.classes)))
        self._are_numbers = self.has_scores and are_integers and is_in_order

        self._session = _start_session(contents["model"])
        self._input = self._session.get_inputs()[0].name
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._of_thread = OneRowOfThread(self._session, self.encoder.width, self.schema)

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

        RowOrder.arrange describes `instances`. `predictions` has one class or one number per row,
        and `scores` is rows x classes. `labels` are the classes in the order of the scores. There
        are no `scores` without probabilities, and no `labels` without classes.
        Raises InvalidInstances, which names the row and the column.
        """
        one_row = self._of_thread.one_row
        buffer = one_row.buffer if one_row else None
        matrix = self.encoder.encode(instances, buffer)
        if one_row is not None and len(matrix) == 1:
            numbers, scores = one_row.run()
            if scores[0][numbers[0]] > 1.0:
                scores = self._clip(scores)
        else:
            numbers, probabilities = self.run(matrix)
            scores = probabilities.tolist()

        if self._are_numbers:
            return {"predictions": numbers, "scores": scores, "labels": self.classes}
        if not self.classes:
            return {"predictions": [row[0] for row in scores]}
        predictions = [self.classes[number] for number in numbers]
        if not self.has_scores:
            return {"predictions": predictions, "labels": self.classes}
        return {"predictions": predictions, "scores": scores, "labels": self.classes}

    def _clip(self, scores: Any) -> list[list[float]]:
        """Return the scores, clipped to 0..1 if they are probabilities.

        The sum of many float32 numbers can be slightly greater than 1.
        """
        return np.clip(scores, 0.0, 1.0).tolist() if self.classes else scores

    def run(self, matrix: np.ndarray) -> tuple[list[int], np.ndarray]:
        """Return the class numbers and the probabilities of an encoded matrix.

        `matrix` is rows x width, float32. The probabilities are rows x classes. Without classes,
        the second result has the predicted numbers (rows x 1).
        """
        if not len(matrix):
            return [], np.empty((0, len(self.classes)), dtype=np.float32)
        outputs = self._session.run(self._outputs, {self._input: matrix})
        if not self.classes:
            return [], outputs[0].reshape(-1, 1)
        if not self.has_scores:
            return outputs[0].tolist(), np.empty((len(matrix), 0), dtype=np.float32)
        return outputs[0].tolist(), np.clip(outputs[1], 0.0, 1.0)

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
        self._compare(first_answer, {key: values[:1] for key, values in self.golden.items()})
        return seconds

    def _compare(self, answer: dict[str, Any], recorded: dict[str, Any]) -> None:
        """Raise ModelFileError if `answer` differs from the recorded one."""
        # The predictions of a regressor are numbers, which are compared as scores are.
        key = "scores" if self.classes else "predictions"
        same_classes = not self.classes or answer["predictions"] == recorded["predictions"]
        difference = 0.0
        if key in answer:
            differences = np.abs(np.array(answer[key]) - np.array(recorded[key]))
            difference = differences.max(initial=0.0)
        # The condition is not "difference > tolerance", because that is false for NaN.
        if not same_classes or not difference <= self.tolerance:
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
