"""Predict with the encoder and the estimator of a model file.

Training also uses this module, so it must not import utils.serving.
"""

import time
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from utils.errors import ModelFileError
from utils.forms.session import Session
from utils.table.encoder import TableEncoder
from utils.table.rows import InvalidInstances, format_value, truncate

# ONNX Runtime and scikit-learn or xgboost add float32 numbers in different orders.
TOLERANCE = 1e-5


class Model:
    """The encoder and the estimator of one model file.

    The estimator has the form that `engine` names: a session of ONNX Runtime, or a pipeline of
    scikit-learn. skops loads the pipeline, and trusts the types `trusted` in addition to TRUSTED
    (utils/forms/skops.py). With the engine "own", the author's function `load` loads it.
    A Model never changes. A new file is loaded into a new Model.
    """

    def __init__(
        self,
        contents: dict[str, Any],
        ignore_unknown: bool = False,
        trusted: Collection[str] = (),
        load: Callable[[bytes], Any] | None = None,
    ):
        self.name: str = contents["modelName"]
        self.digest: str = contents.get("digest", "")
        self.schema: dict[str, Any] = contents["schema"]
        self.classes: list[Any] = self.schema["classes"]
        self.golden: dict[str, Any] = contents["golden"]
        self.engine: str = contents.get("engine", "onnx")
        self.has_scores: bool = self.schema.get("scores", True)
        self.tolerance: float = self.schema.get("tolerance", TOLERANCE)
        # A class is its number if the classes are 0 to n-1. False and True are not numbers in JSON.
        are_integers = set(map(type, self.classes)) == {int}
        is_in_order = self.classes == list(range(len(self.classes)))
        self._are_numbers = self.has_scores and are_integers and is_in_order

        self.encoder, estimator = make_parts(contents, ignore_unknown, trusted, load)
        self._of_thread = estimator.of_thread
        # It returns the class numbers and the scores (rows x classes) of encoded rows. Without
        # classes, the scores are the predicted numbers (rows x 1).
        self.run = estimator.run

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


def make_parts(
    contents: dict[str, Any],
    ignore_unknown: bool,
    trusted: Collection[str],
    load: Callable[[bytes], Any] | None,
) -> tuple[TableEncoder, Any]:
    """Return the encoder and the estimator of a model file."""
    engine = contents.get("engine", "onnx")
    if engine == "onnx":
        encoder = TableEncoder(contents["scaler"], ignore_unknown)
        return encoder, Session(contents["model"], encoder.width, contents["schema"])
    if engine not in ("skops", "own"):
        expected = f"engine {engine!r}: expected 'onnx', 'skops' or 'own'"
        raise ModelFileError(f"model {contents['modelName']}: {expected}. Train it again.")
    # The fast form needs neither skops nor pandas.
    from utils.forms.skops import load_parts

    return load_parts(contents, ignore_unknown, trusted, load)


def self_check_error(name: str, reason: object) -> ModelFileError:
    """Return the error of a model whose answers for its golden rows are wrong."""
    return ModelFileError(
        f"model {name}: self-check failed: predictions for the golden rows differ from those at "
        f"training ({reason}). Retrain with this image's library versions."
    )
