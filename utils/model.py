"""Answer instances with the encoder and the ONNX graph of a model file.

Training uses this module too, so it imports nothing of serving.
"""

import os
import threading
import time
from typing import Any

import numpy as np

# From 1.29 on ONNX Runtime's Linux wheels send usage data to their maker unless this is set before
# the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime  # noqa: E402

from utils.errors import ModelFileError
from utils.table_encoder import Buffer, InvalidInstances, TableEncoder, format_value, truncate

# ONNX Runtime and scikit-learn or xgboost add float32 numbers in different orders.
TOLERANCE = 1e-5
# ONNX Runtime's number for this severity.
ERRORS_ONLY = 3


class OneRow:
    """Run a session on one row, with input and outputs bound once.

    For a small model, passing arrays to the session costs more than running it. The session's
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
    """Hold a OneRow for each thread; None if the session's outputs can't be bound.

    Threads would mix their rows in a shared one. threading.local calls __init__ in each thread.
    """

    def __init__(self, session: onnxruntime.InferenceSession, width: int, classes: int):
        label = session.get_outputs()[0]
        self.one_row: OneRow | None = None
        # Classes that are texts can't be bound: their length isn't known.
        if label.type == "tensor(int64)":
            self.one_row = OneRow(session, width, classes)


class Model:
    """Answer with the encoder and the ONNX session of one model file.

    It never changes; a new file makes a new Model.
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
        """Return predict() of `msg.payload["instances"]`.

        Raises InvalidInstances if there are none.
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

        `instances`: see TableEncoder.encode. `predictions`: one class per row. `scores`: rows x
        classes. `labels`: the classes in the order of the scores.
        Raises InvalidInstances, which names row and column.
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

        `matrix`: rows x width, float32. The classes: one per row. The probabilities: rows x
        classes.
        """
        if not len(matrix):
            return [], np.empty((0, len(self.classes)), dtype=np.float32)
        labels, scores = self._session.run(self._outputs, {self._input: matrix})
        return labels.tolist(), scores

    def replay_golden(self) -> float:
        """Answer the golden rows and return the seconds that one row took.

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
        # Not "difference > TOLERANCE", which is false for NaN.
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
    # Workers use the cores, threads don't. Two threads break a forest's ties differently from one.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
