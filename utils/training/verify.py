"""Compare the answers of a model file with those of the fitted pipeline."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from utils.errors import ModelFileError
from utils.model import TOLERANCE, Model

ADVICE = (
    "Nothing was written. "
    "Scale or bin numbers only for linear models; bound a forest's depth; "
    "or load the estimator in your own predict.py "
    "(docs/model-files.md, 'A model that cannot be converted')"
)


class Answers(NamedTuple):
    """The answers of the fitted pipeline for the held-out rows.

    `predictions` are numbers of classes, or the predicted numbers. `scores` is rows x classes.
    """

    predictions: np.ndarray
    scores: np.ndarray | None

    def of(self, rows: np.ndarray) -> Answers:
        """Return the answers for the rows that `rows`, an array of booleans, marks."""
        return Answers(self.predictions[rows], None if self.scores is None else self.scores[rows])


def answers_of(pipeline: Any, features: Any) -> Answers:
    """Return the answers of a fitted pipeline."""
    if hasattr(pipeline["estimator"], "predict_proba"):
        scores = pipeline.predict_proba(features)
        return Answers(scores.argmax(axis=1), scores)
    return Answers(np.asarray(pipeline.predict(features)).ravel(), None)


def load(contents: dict[str, Any], ignore_unknown: bool = False) -> Model:
    """Return the model of the contents of a file. Raises ModelFileError if that fails."""
    try:
        return Model(contents, ignore_unknown)
    # ONNX Runtime raises many types of exceptions.
    except Exception as error:
        reason = str(error)[:200]
        raise ModelFileError(
            f"model {contents['modelName']}: ONNX Runtime can't load it: {reason}. {ADVICE}"
        ) from error


def compare(model: Model, rows: list[Any], answers: Answers) -> dict[str, Any]:
    """Compare the answers of `model` for some rows with those of the pipeline.

    Returns the number of rows, the number of ties and the largest difference. A tie is a row whose
    class differs although its two best scores are almost equal. Raises ModelFileError for any other
    difference.
    """
    predictions, scores = model.run(model.encoder.encode(rows))
    differ = np.zeros(len(rows), dtype=bool)
    difference = 0.0
    if model.classes:
        differ = np.array(predictions) != answers.predictions
    else:
        difference = largest(scores[:, 0], answers.predictions)
    ties = np.zeros(len(rows), dtype=bool)
    if answers.scores is not None:
        difference = largest(scores, answers.scores)
        best = np.sort(answers.scores, axis=1)
        ties = best[:, -1] - best[:, -2] <= 2 * TOLERANCE

    if not difference <= model.tolerance or (differ & ~ties).any():
        raise ModelFileError(
            f"model {model.name}: the ONNX model and the estimator disagree on "
            f"{int(differ.sum())} of {len(rows)} held-out rows "
            f"(answers differ by up to {difference:.2g}, allowed {model.tolerance:.2g}). {ADVICE}"
        )
    # Threads add numbers in a random order. Therefore the last digits differ between trainings.
    return {
        "rows_compared": len(rows),
        "ties": int(differ.sum()),
        "largest_score_difference": float(f"{difference:.2g}"),
    }


def largest(found: Any, expected: np.ndarray) -> float:
    """Return the largest difference of two arrays."""
    return float(np.abs(np.asarray(found, dtype=np.float64) - expected).max(initial=0.0))
