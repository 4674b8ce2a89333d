"""Ten model routes, m0 to m9, whose answers name the worker and the model file."""

import os
from collections.abc import Callable
from typing import Any

from utils.serving import served

MODELS = 10


def predict_function(name: str) -> Callable[[Any], dict[str, Any]]:
    """Return a predict function of models/NAME.pkl."""

    @served(name)
    def predict(msg: Any, model: Any) -> dict[str, Any]:
        return {**model.answer(msg), "digest": model.digest, "pid": os.getpid()}

    return predict


NAMES = [f"m{number}" for number in range(MODELS)]
m0, m1, m2, m3, m4, m5, m6, m7, m8, m9 = (predict_function(name) for name in NAMES)
