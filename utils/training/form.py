"""Choose the form of a fitted estimator in the model file.

It is the fast form where that is exact, or the complete form.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from sklearn.pipeline import Pipeline

from utils.errors import ModelFileError
from utils.forms import skops as complete
from utils.forms.onnx import to_onnx
from utils.model import Model
from utils.table.encoder import TableEncoder
from utils.training.progress import report_time
from utils.training.verify import Answers, compare, load

ADVICE = (
    "Nothing was written. Save and load the estimator with code of your own "
    "(docs/model-files.md, 'A model that cannot be converted')."
)
OWN = "your pipeline encodes the table itself"
SAVED = "train.py saves it with a function of its own"
REPEATS = 5


class Functions(NamedTuple):
    """An author's functions that save and load a fitted pipeline."""

    save: Callable[[Any], bytes]
    load: Callable[[bytes], Any]


def fast_form(
    contents: dict[str, Any], estimator: Any, rows: list[Any], answers: Answers
) -> dict[str, Any]:
    """Return the contents of the model file with the fast form of an estimator.

    Raises ModelFileError with the reason if it can't be converted or its answers differ.
    """
    columns = contents["scaler"]["columns"]
    has_missing = any("missing" in column for column in columns)
    width = TableEncoder(contents["scaler"]).width
    with report_time("converting to ONNX"):
        model = to_onnx(estimator, width, has_missing)
    return compared({**contents, "model": model}, rows, answers)


def complete_form(
    contents: dict[str, Any],
    pipeline: Any,
    rows: list[Any],
    answers: Answers,
    functions: Functions | None = None,
) -> dict[str, Any]:
    """Return the contents of the model file with the complete form of a pipeline.

    Raises ModelFileError with the reason if it can't be saved or its answers differ.
    """
    served = without_search(pipeline)
    engine = "own" if functions else "skops"
    form = {
        "engine": engine,
        "model": functions.save(served) if functions else complete.dump(served),
        "requires": complete.required_libraries(served, engine),
    }
    return compared({**contents, **form}, rows, answers, functions and functions.load)


def compared(
    contents: dict[str, Any],
    rows: list[Any],
    answers: Answers,
    load_own: Callable[[bytes], Any] | None = None,
) -> dict[str, Any]:
    """Return the contents with the comparison of the answers. Raises ModelFileError."""
    model = load(contents, ignore_unknown=True, load_own=load_own)
    return {**contents, "metrics": compare(model, rows, answers)}


def without_search(pipeline: Any) -> Any:
    """Return a pipeline with the best estimator of a search, which gives its answers."""
    if hasattr(pipeline, "best_estimator_"):
        return pipeline.best_estimator_
    if isinstance(pipeline, Pipeline) and hasattr(pipeline[-1], "best_estimator_"):
        return Pipeline([*pipeline.steps[:-1], ("estimator", pipeline[-1].best_estimator_)])
    return pipeline


def choose_form(
    contents: dict[str, Any],
    pipeline: Any,
    reason: str,
    rows: list[Any],
    answers: Answers,
    functions: Functions | None = None,
) -> tuple[dict[str, Any], str]:
    """Return the contents of the model file and the reason for the complete form.

    `reason` is what was known before the fit, or empty. The result is empty for the fast form.
    `functions` replace skops.
    Raises ModelFileError if neither form gives the answers of the pipeline.
    """
    if not reason:
        try:
            return fast_form(contents, pipeline["estimator"], rows, answers), ""
        except ModelFileError as error:
            # The converters' texts have many lines.
            reason = " ".join(str(error).split())
        print(f"     {reason}; comparing the complete form", flush=True)
    try:
        return complete_form(contents, pipeline, rows, answers, functions), reason
    except ModelFileError as error:
        problem = f"model {contents['modelName']}: no form takes it: {reason}; {error}."
        raise ModelFileError(f"{problem} {ADVICE}") from error


def milliseconds_of_row(model: Model) -> float:
    """Return the least time of one row."""
    row = model.golden["instances"][:1]
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        model.predict(row)
        seconds.append(time.perf_counter() - started)
    return min(seconds) * 1000


def describe_form(model: Model, reason: str) -> str:
    """Return the form of a model, its reason and the cost of one row."""
    cost = f"one row takes {milliseconds_of_row(model):.2g} ms"
    if model.engine == "onnx":
        return f"Form: onnx (fast), {cost}"
    return f"Form: {model.engine} (complete), {cost}. Reason: {reason}"


def report_requirements(required: dict[str, str], module: str) -> None:
    """Print the lines that requirements_predict.txt lacks for the complete form.

    `module` is the module that trains. The file is next to it.
    """
    file = getattr(sys.modules.get(module), "__file__", None)
    folder = Path(file).parent if file else Path()
    listed: set[str] = set()
    for name in ("requirements_predict.txt", "requirements.txt"):
        if (folder / name).is_file():
            text = (folder / name).read_text(encoding="utf-8", errors="replace")
            listed = {normalized(word) for word in re.findall(r"(?m)^\s*([\w.-]+)", text)}
            break
    lines = [f"{name}=={version}" for name, version in required.items()]
    lacking = [line for line in lines if normalized(line.partition("==")[0]) not in listed]
    if lacking:
        # The folder is one of the image, not that of the user's file.
        print("     The server needs these lines in requirements_predict.txt:")
        print(*(f"       {line}" for line in lacking), sep="\n", flush=True)


def normalized(name: str) -> str:
    """Return the name of a package in the form in which names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def report_types(name: str, types: list[str]) -> None:
    """Print the line for predict.py if the server does not trust types of a file."""
    if types:
        print("     The server trusts these types only if predict.py names them:")
        print(f'       @served("{name}", trusted={complete.list_of_texts(types)})', flush=True)
