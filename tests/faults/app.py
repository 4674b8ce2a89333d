"""An application for the fault tests: its answers tell which worker and which model made them; two of it leak."""

import os
import time
from collections.abc import Callable
from typing import Any

from utils.serving import served

MODELS = 10
KEPT: list[Any] = []


def told(name: str) -> Callable[[Any], dict[str, Any]]:
    """A predict function of models/NAME.pkl."""

    @served(name)
    def predict(msg: Any, model: Any) -> dict[str, Any]:
        return {**model.answer(msg), "digest": model.digest, "pid": os.getpid()}

    return predict


m0, m1, m2, m3, m4, m5, m6, m7, m8, m9 = (told(f"m{i}") for i in range(MODELS))


def echo(msg: Any) -> dict[str, Any]:
    return {"echo": msg.payload}


def work(msg: Any) -> dict[str, Any]:
    """Takes as many seconds as the payload says."""
    time.sleep(msg.payload)
    return {"pid": os.getpid()}


def leak_memory(msg: Any) -> dict[str, Any]:
    KEPT.append(bytearray(16_384))
    return {"kept": len(KEPT), "pid": os.getpid()}


def leak_descriptor(msg: Any) -> dict[str, Any]:
    KEPT.append(os.dup(1))
    return {"kept": len(KEPT), "pid": os.getpid()}
