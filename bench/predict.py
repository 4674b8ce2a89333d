"""Measure one prediction without a server (bench-predict).

A prediction turns the bytes of a request into the bytes of its response. It is compared with the
least work (decode + encode by columns + the estimator's own predictor on a ready float32 matrix),
and with a scikit-learn pipeline on a DataFrame. Each of them uses one thread. With BASELINE, it is
also compared with the code of another checkout (bench/baseline.py).
"""

import gc
import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from baseline import EndpointProcess, baseline_root, predict_line
from measure import (
    ROOT,
    TABLE,
    alternate,
    median_of,
    milliseconds,
    models,
    plot,
    ratio,
    report,
    verdict,
)
from runtime.endpoint import Endpoint, decode
from train_once import training_arguments

from utils.dataset.description import Description
from utils.dataset.instances import rows_of
from utils.dataset.read import read_dataset
from utils.serving import served
from utils.training.pipeline import fit_pipeline
from utils.training.split import Parts, split

ROUNDS = int(os.environ.get("ROUNDS", "7"))
SIZES = (1, 100, 1_000, 14_653)
GOAL = 1.5


def fit_model(directory: str, parts: Parts, description: Description) -> Any:
    """Return the fitted pipeline of a model's train.py.

    Its estimator predicts with one thread.
    """
    pipeline = fit_pipeline(parts, description, *training_arguments(directory))
    if hasattr(pipeline["estimator"], "n_jobs"):
        pipeline["estimator"].n_jobs = 1
    return pipeline


def own_predictor(estimator: Any, matrix: Any) -> Callable[[], Any]:
    """Return a function that calls the estimator's fastest prediction on `matrix`."""
    if hasattr(estimator, "get_booster"):
        booster = estimator.get_booster()
        booster.set_param({"nthread": 1})
        return lambda: booster.inplace_predict(matrix)
    return lambda: estimator.predict_proba(matrix)


def request_body(rows: Sequence[Any]) -> bytes:
    """Return the body of a request."""
    return json.dumps({"payload": {"instances": rows}}).encode()


def measure(
    endpoint: Endpoint, pipeline: Any, rows: list[Any], columns: list[str]
) -> dict[str, list[float]]:
    """Return the times in ms by round.

    `ours` is our code, `least` the least work and `usual` the pipeline on a DataFrame.
    """
    body = request_body(rows)
    encoder = endpoint.hook.model.encoder
    predictor = own_predictor(pipeline["estimator"], encoder.encode(rows))

    def ours() -> None:
        endpoint.answer(body)

    def least() -> None:
        encoder.encode(decode(body).payload["instances"])
        predictor()

    def usual() -> None:
        instances = json.loads(body)["payload"]["instances"]
        pipeline.predict_proba(pd.DataFrame(instances, columns=columns))

    assert endpoint.answer(body).status == 200
    calls = {"ours": ours, "least": least, "usual": usual}
    candidates = {name: partial(milliseconds, call) for name, call in calls.items()}
    return alternate(candidates, ROUNDS)


def line(name: str, rows: int, values: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return one line of the table."""
    over_least = ratio(values["ours"], values["least"])
    over_usual = ratio(values["usual"], values["ours"])
    reached = verdict(over_least.median, GOAL, True) if rows >= 1000 else ""
    return {
        "model": name,
        "rows": rows,
        "ours, ms": f"{median_of(values['ours']):.3f}",
        "of decode + encode + own predictor": str(over_least),
        f"at most {GOAL}": reached,
        "times faster than a pipeline": str(over_usual),
    }


def compare_with_least_and_usual(
    parts: Parts, description: Description, rows: Sequence[Any]
) -> None:
    """Measure every model at every size and report the results."""
    columns = [column.name for column in description.columns]
    lines = []
    measured = {}
    for name, directory in models().items():
        pipeline = fit_model(directory, parts, description)
        endpoint = Endpoint(name, served(name)(lambda msg, model: model.answer(msg)))
        endpoint.refresh()
        for size in SIZES:
            values = measure(endpoint, pipeline, list(rows[:size]), columns)
            lines.append(line(name, size, values))
            measured[f"{name}, {size} rows"] = values

    report("predict", "One prediction without a server", lines, measured)
    faster = {key: ratio(values["usual"], values["ours"]) for key, values in measured.items()}
    title = "Times faster than the scikit-learn pipeline on a DataFrame, without a server"
    plot("predict", title, faster)


def compare_with_baseline(baseline: Path, rows: Sequence[Any], sizes: Sequence[int]) -> None:
    """Measure and report every model at every size with the code of both checkouts."""
    lines = []
    measured = {}
    for name in models():
        with EndpointProcess(ROOT, name) as ours, EndpointProcess(baseline, name) as theirs:
            for size in sizes:
                body = request_body(rows[:size])
                candidates = {
                    "ours": partial(ours.measure, body),
                    "baseline": partial(theirs.measure, body),
                }
                values = alternate(candidates, ROUNDS)
                lines.append(predict_line(name, size, values["ours"], values["baseline"]))
                measured[f"{name}, {size} rows"] = values

    title = "One prediction without a server, relative to the baseline"
    report("predict-baseline", title, lines, measured)


def main() -> None:
    """Measure every model at every size."""
    os.chdir(ROOT)
    # One held-out row has a country that is not in the training data.
    os.environ["UNKNOWN"] = "ignore"
    table, description = read_dataset(Path(TABLE))
    parts = split(table, description)
    rows = rows_of(parts.held_out, description.columns)

    # The server also calls gc.freeze(). Without this call, the garbage collector visits all
    # objects of scikit-learn and pandas at every large batch.
    gc.freeze()
    compare_with_least_and_usual(parts, description, rows)

    baseline = baseline_root()
    if baseline:
        compare_with_baseline(baseline, rows, SIZES)


if __name__ == "__main__":
    main()
