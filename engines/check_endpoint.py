"""Post the test instances of models to a running server and check the answers.

Usage: check_endpoint.py MODEL_DIR...      on 127.0.0.1, PORT (5111)
                                           waits up to WAIT (60) seconds until the server is ready
                                           API_KEY_FILE names a file whose first key is sent

The exit code is 0 if each model answers 200 with one prediction per instance, and each prediction
is one of its labels. If MODEL_DIR/test/test_instances.json has `expected`, the predictions must be
equal to it. Without labels, numbers with a fraction may differ by a ten-thousandth. Otherwise the
exit code is 1, and the output has the reason. With several models, all are tested, and the output
ends with a table.

The program waits only while a server is starting. It stops at once if nothing listens and no server
of this folder is starting, or if the server has rejected a model. On a terminal it prints progress.

This module uses only the standard library and runs on Python 3.9, because it runs before a virtual
environment exists.
"""

from __future__ import annotations

import http.client
import json
import math
import operator
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

ENGINES = Path(__file__).resolve().parent
# With these paths, the imports work even if this file is imported from another directory.
sys.path.insert(0, str(ENGINES.parent / "builders"))
sys.path.insert(0, str(ENGINES))
from client import WrongAnswer, fetch, reason_of, wait_seconds  # noqa: E402
from port import is_port  # noqa: E402
from readiness import wait_until_ready  # noqa: E402
from runtime.environment import check_file  # noqa: E402
from runtime.settings import ConfigurationError  # noqa: E402
from runtime.text import truncate  # noqa: E402

INTERRUPTED = 130
# Two predictions of a number are equal if they differ by at most this part.
TOLERANCE = 1e-4
# A server, its answers and a model directory can cause these errors. They need no traceback.
FAILURES = (WrongAnswer, ConfigurationError, OSError, http.client.HTTPException, ValueError)


class Case(NamedTuple):
    """A model's test instances: the file, its bytes and its decoded content."""

    file: Path
    body: bytes
    content: dict[str, Any]
    instances: list[Any]


class Result(NamedTuple):
    """The result of a model's test.

    `model` is its route, or its directory without a valid route. `problem` is empty if it passed.
    """

    model: str
    problem: str


def read_case(directory: Path) -> Case:
    """Return a model's test instances.

    Raises WrongAnswer if the file has no instances.
    """
    file = directory / "test" / "test_instances.json"
    body = file.read_bytes()
    try:
        content = json.loads(body)
        return Case(file, body, content, content["payload"]["instances"])
    except (ValueError, KeyError, TypeError):
        form = '{"payload": {"instances": [...]}}'
        raise WrongAnswer(f"{file}: expected {form}, found {body[:60]!r}") from None


def payload_of(answer: Any) -> dict[str, Any]:
    """Return the payload of an answer, or {} if it has none."""
    payload = answer.get("payload") if isinstance(answer, dict) else None
    return payload if isinstance(payload, dict) else {}


def check_payload(payload: dict[str, Any], case: Case) -> None:
    """Raise WrongAnswer unless the predictions are as the case expects."""
    predictions = payload.get("predictions")
    count = len(case.instances)
    if not isinstance(predictions, list) or len(predictions) != count:
        raise WrongAnswer(f"expected {count} predictions, found {predictions}")

    labels = payload.get("labels", predictions)
    if not isinstance(labels, list) or not all(value in labels for value in predictions):
        raise WrongAnswer(f"expected predictions among {labels}, found {predictions}")

    expected = case.content.get("expected", predictions)
    same = numbers_are_close if "labels" not in payload else operator.eq
    if not same(predictions, expected):
        raise WrongAnswer(f"expected {expected} ({case.file}), found {predictions}")


def numbers_are_close(predictions: list[Any], expected: Any) -> bool:
    """Return whether the predictions are equal, or are numbers within TOLERANCE.

    The predictions of a regressor depend on the library versions and the processor.
    """
    if not isinstance(expected, list) or len(predictions) != len(expected):
        return False
    return all(map(is_close, predictions, expected))


def is_close(found: Any, expected: Any) -> bool:
    """Return whether two values are equal, or are numbers within TOLERANCE."""
    types = {type(found), type(expected)}
    if float in types and types <= {int, float}:
        return math.isclose(found, expected, rel_tol=TOLERANCE)
    return bool(found == expected)


def check_model(server: str, route: str, directory: Path) -> None:
    """Post one model's instances and print a line about the answer.

    Raises WrongAnswer if the answer is not the expected one.
    """
    case = read_case(directory)
    status, answer = fetch(f"{server}{route}", case.body)
    if status != 200:
        raise WrongAnswer(f"expected status 200, found {status}: {reason_of(answer)}")

    payload = payload_of(answer)
    check_payload(payload, case)
    predictions = payload["predictions"]
    found = truncate(str(predictions))
    count = f"{len(predictions)} predictions"
    if "expected" in case.content:
        print(f"---> POST {route}: {count}, as expected: {found}", flush=True)
        return
    print(f"---> POST {route}: {count}: {found}", flush=True)
    notice = f"{case.file} has no `expected`, so nothing was compared"
    print(f"     {notice}. Type make -C {directory.resolve().name} expect", flush=True)


def result_of(server: str, directory: Path) -> Result:
    """Check one model and return the result."""
    name = directory.resolve().name
    try:
        path = check_file(directory / ".s2i" / "environment", "predict")[0].path
        name = f"/{path}"
        check_model(server, name, directory)
    except FAILURES as error:
        return Result(name, truncate(str(error)))
    return Result(name, "")


def table(results: list[Result]) -> str:
    """Return a table of the results, one line per model."""
    width = max(len(result.model) for result in results)
    lines = [f"     {'route':<{width}}  result  reason"]
    for model, problem in results:
        outcome = "failed" if problem else "passed"
        # A reason may contain line breaks.
        reason = " ".join(problem.split())
        lines.append(f"     {model:<{width}}  {outcome}  {reason}".rstrip())
    return "\n".join(lines)


def report_failures(program: str, results: list[Result]) -> None:
    """Print the problem of a single model, or a table of several models."""
    if len(results) == 1:
        print(f"{program}: {results[0].model}: {results[0].problem}", file=sys.stderr)
        return
    count = sum(1 for result in results if result.problem)
    print(table(results), file=sys.stderr)
    print(f"{program}: {count} of {len(results)} models failed", file=sys.stderr)


def run(program: str, server: str, seconds: float, directories: list[str]) -> int:
    """Wait for the server, check each model and return the exit code."""
    image = f"{os.environ.get('CONTAINER_NAME', '')}-predict"
    try:
        wait_until_ready(server, seconds, image)
    except FAILURES as error:
        print(f"{program}: {truncate(str(error))}", file=sys.stderr)
        return 1

    results = [result_of(server, Path(directory)) for directory in directories]
    if not any(result.problem for result in results):
        return 0
    report_failures(program, results)
    return 1


def main(directories: list[str]) -> int:
    """Check each model and return the exit code."""
    if not directories:
        print(__doc__, file=sys.stderr)
        return 2
    port = os.environ.get("PORT") or "5111"
    if not is_port(port):
        return 2
    try:
        seconds = wait_seconds()
    except ValueError as error:
        print(truncate(str(error)), file=sys.stderr)
        return 2

    program = "test-endpoint" if len(directories) == 1 else "test-all"
    try:
        return run(program, f"http://127.0.0.1:{port}", seconds, directories)
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
