"""Compare the answers of a model file with those of the fitted pipeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from utils.errors import ModelFileError, TrainingError, reason
from utils.forms.skops import untrusted_types
from utils.model import TOLERANCE, Model
from utils.training.progress import parts_of_rows

LOADERS = {"onnx": "ONNX Runtime", "skops": "skops", "own": "your function"}


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
    predictions = np.asarray(pipeline.predict(features))
    # xgboost has a column for each class with objective="multi:softprob" and two classes.
    is_matrix = predictions.ndim == 2 and predictions.shape[1] > 1
    predictions = predictions.argmax(axis=1) if is_matrix else predictions.ravel()
    if hasattr(pipeline, "predict_proba"):
        return Answers(predictions, np.asarray(pipeline.predict_proba(features)))
    return Answers(predictions, None)


def check_finite(answers: Answers, name: str) -> None:
    """Raise TrainingError if an estimator's answers are not finite numbers."""
    numbers = answers.predictions if answers.scores is None else answers.scores
    is_finite = np.isfinite(numbers.astype(np.float64)).reshape(len(numbers), -1).all(axis=1)
    if not is_finite.all():
        count = f"{int((~is_finite).sum()):,} of {len(numbers):,}"
        raise TrainingError(
            f"{name} answers {count} held-out rows with NaN or infinity. "
            "Change its settings, or use another one."
        )


def load(
    contents: dict[str, Any],
    ignore_unknown: bool = False,
    load_own: Callable[[bytes], Any] | None = None,
) -> Model:
    """Return the model of the contents of a file, in which all types are trusted.

    Raises ModelFileError with the reason if that fails.
    """
    engine = contents.get("engine", "onnx")
    try:
        trusted = untrusted_types(contents["model"]) if engine == "skops" else ()
        return Model(contents, ignore_unknown, trusted, load_own)
    # The libraries raise many types of exceptions.
    except Exception as error:
        raise ModelFileError(f"{LOADERS[engine]} can't load it ({reason(error)})") from error


def compare(model: Model, rows: list[Any], answers: Answers) -> dict[str, Any]:
    """Compare the answers of `model` for some rows with those of the pipeline.

    Returns the number of rows, the number of ties and the largest difference. A tie is a row whose
    class differs although its two best scores are almost equal. Raises ModelFileError for any other
    difference.
    """
    predictions, scores = predict(model, rows)
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
        form = "ONNX" if model.engine == "onnx" else "saved"
        found = f"{int(differ.sum())} of {len(rows)} held-out rows have another class, "
        raise ModelFileError(
            f"the answers of the {form} model differ: {found if differ.any() else ''}the largest "
            f"difference is {difference:.2g}, allowed {model.tolerance:.2g}"
        )
    # Threads add numbers in a random order. Therefore the last digits differ between trainings.
    return {
        "rows_compared": len(rows),
        "ties": int(differ.sum()),
        "largest_score_difference": float(f"{difference:.2g}"),
    }


def predict(model: Model, rows: list[Any]) -> tuple[list[int], np.ndarray]:
    """Return the class numbers and the scores of many rows; print how far it is."""
    predictions: list[int] = []
    scores = []
    for part in parts_of_rows(rows):
        encoded = model.encoder.encode(part)
        try:
            found = model.run(encoded)
        # ONNX Runtime and scikit-learn raise many types of exceptions.
        except Exception as error:
            raise ModelFileError(f"it can't predict held-out rows ({reason(error)})") from error
        predictions += found[0]
        scores.append(found[1])
    return predictions, np.concatenate(scores)


def largest(found: Any, expected: np.ndarray) -> float:
    """Return the largest difference of two arrays."""
    return float(np.abs(np.asarray(found, dtype=np.float64) - expected).max(initial=0.0))
