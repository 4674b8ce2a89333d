"""bench-predict: one prediction in process, from the bytes of a request to the bytes of its reply, without a server.

Beside it, on one thread each: the least that could be done (decode + encode by columns + the estimator's own predictor
on a ready float32 matrix), and the usual way (a scikit-learn pipeline on a DataFrame).
"""

import gc
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from measure import ROOT, alternate, median_of, plot, ratio, report, verdict
from train_once import asked_for

os.environ["UNKNOWN"] = "ignore"  # one held-out row has a country that training never saw
from runtime.endpoint import Endpoint, decode  # noqa: E402

from common_utils.train_utils import (
    LABEL,
    data_file,
    fit,
    make_pipeline,
    read_table,
    rows_of,
    split,
)  # noqa: E402
from utils.serving import served  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "7"))
SIZES = (1, 100, 1_000, 14_653)
GOAL = 1.5


def models() -> list[tuple[str, str]]:
    """Directory and MODEL_NAME of every model, from its Makefile."""
    found = []
    for train in sorted(ROOT.glob("*/train.py")):
        lines = (train.parent / "Makefile").read_text().splitlines()
        names = dict(line.split(" := ") for line in lines if " := " in line)
        found.append((train.parent.name, names["MODEL_NAME"]))
    return found


def fitted(directory: str, train: pd.DataFrame) -> Any:
    """The pipeline that a model's train.py asks for, fitted here, its estimator on one thread."""
    pipeline = make_pipeline(*asked_for(directory), train)
    fit(pipeline, train)
    if hasattr(pipeline["estimator"], "n_jobs"):
        pipeline["estimator"].n_jobs = 1
    return pipeline


def native(estimator: Any, matrix: Any) -> Callable[[], Any]:
    """The estimator's own fastest predictor on a ready matrix."""
    if hasattr(estimator, "get_booster"):
        booster = estimator.get_booster()
        booster.set_param({"nthread": 1})
        return lambda: booster.inplace_predict(matrix)
    return lambda: estimator.predict_proba(matrix)


def milliseconds(call: Callable[[], Any]) -> Callable[[], float]:
    """A candidate for alternate(): the mean time of enough calls to last a tenth of a second."""

    def measure() -> float:
        calls, started = 0, time.perf_counter()
        while (spent := time.perf_counter() - started) < 0.1:
            call()
            calls += 1
        return spent / calls * 1000

    return measure


def compared(
    name: str, endpoint: Endpoint, pipeline: Any, rows: list[Any], columns: list[str]
) -> tuple[Any, Any]:
    """One line of the table and the measured values."""
    body = json.dumps({"payload": {"instances": rows}}).encode()
    encoder = endpoint.hook.model.encoder
    predictor = native(pipeline["estimator"], encoder.encode(rows))

    def least() -> None:
        encoder.encode(decode(body).payload["instances"])
        predictor()

    def usual() -> None:
        pipeline.predict_proba(
            pd.DataFrame(json.loads(body)["payload"]["instances"], columns=columns)
        )

    assert endpoint.answer(body).status == 200
    candidates = {"ours": lambda: endpoint.answer(body), "least": least, "usual": usual}
    values = alternate({key: milliseconds(call) for key, call in candidates.items()}, ROUNDS)
    return line(name, len(rows), values), values


def line(name: str, rows: int, values: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """One line of the table."""
    over_least, over_usual = (
        ratio(values["ours"], values["least"]),
        ratio(values["usual"], values["ours"]),
    )
    return {
        "model": name,
        "rows": rows,
        "ours, ms": f"{median_of(values['ours']):.3f}",
        "of decode + encode + own predictor": str(over_least),
        f"at most {GOAL}": verdict(over_least.median, GOAL, True) if rows >= 1000 else "",
        "faster than a pipeline, times": str(over_usual),
    }


def main() -> None:
    """Measures every model at every size."""
    os.chdir(ROOT)
    train, held_out = split(read_table(data_file("data/adult_income-prepped.csv")), None)
    rows, columns = rows_of(held_out), [name for name in train if name != LABEL]
    lines, measured = [], {}
    gc.freeze()  # as the server does: else collections look at all of scikit-learn and pandas at every large batch
    for directory, name in models():
        pipeline = fitted(directory, train)
        endpoint = Endpoint(name, served(name)(lambda msg, model: model.answer(msg)))
        endpoint.refresh()
        for size in SIZES:
            entry, values = compared(name, endpoint, pipeline, rows[:size], columns)
            lines.append(entry)
            measured[f"{name}, {size} rows"] = values
    report("predict", "One prediction in process", lines, measured)
    faster = {key: ratio(values["usual"], values["ours"]) for key, values in measured.items()}
    plot(
        "predict", "Times faster than the scikit-learn pipeline on a DataFrame, in process", faster
    )


if __name__ == "__main__":
    main()
