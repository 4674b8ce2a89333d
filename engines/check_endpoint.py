"""Post a model's test instances to a running server and check the answer.

Usage: check_endpoint.py MODEL_DIR...      on 127.0.0.1, PORT (5111)
                                           waits up to WAIT (60) seconds until the server is ready
                                           API_KEY_FILE names a file whose first key is sent

The exit code is 0 if each model answers 200 with one prediction per instance, and each prediction
is one of its labels. If MODEL_DIR/test/test_instances.json has `expected`, the predictions must be
equal to it. Otherwise the exit code is 1.

This module uses only the standard library and runs on Python 3.9, because it runs before a virtual
environment exists.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

ENGINES = Path(__file__).resolve().parent
# With these paths, the imports work even if this file is imported from another directory.
sys.path.insert(0, str(ENGINES.parent / "builders"))
sys.path.insert(0, str(ENGINES))
from port import is_port  # noqa: E402
from runtime.environment import check_file  # noqa: E402
from runtime.settings import ConfigurationError  # noqa: E402

# Requests to this machine must not go through a proxy.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
SECONDS = 30


class WrongAnswer(Exception):
    """A server's answer is not the expected one; the message has both."""


# A server, its answers and a model directory can cause these errors. They need no traceback.
FAILURES = (WrongAnswer, ConfigurationError, OSError, http.client.HTTPException, ValueError)


class Case(NamedTuple):
    """A model's test instances: the file, its bytes and its decoded content."""

    file: Path
    body: bytes
    content: dict[str, Any]
    instances: list[Any]


def fetch(url: str, body: bytes | None = None) -> tuple[int, Any]:
    """Return the status and the decoded JSON of an answer.

    The request is a POST if there is a `body`, and a GET otherwise.
    Raises WrongAnswer if the answer is not JSON, and OSError if there is no answer.
    """
    headers = {}
    if body:
        headers = {"Content-Type": "application/json", **authorization()}
    request = urllib.request.Request(url, body, headers)
    try:
        with OPENER.open(request, timeout=SECONDS) as response:
            status = response.status
            text = response.read()
    except urllib.error.HTTPError as error:
        status = error.code
        text = error.read()

    try:
        return status, json.loads(text)
    except ValueError:
        raise WrongAnswer(f"{url}: status {status}, expected JSON, found {text[:80]!r}") from None


def authorization() -> dict[str, str]:
    """Return the header with the first key of API_KEY_FILE, or {} without a key."""
    file = os.environ.get("API_KEY_FILE")
    if not file:
        return {}
    keys = Path(file).read_text().split()
    if not keys:
        return {}
    return {"Authorization": f"Bearer {keys[0]}"}


def wait_until_ready(server: str, seconds: float) -> None:
    """Wait until the server is ready.

    Raises WrongAnswer with the server's last answer if it is not ready in time.
    """
    last: Any = "no answer"
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            status, last = fetch(f"{server}/ready")
            if status == 200:
                return
        except (OSError, http.client.HTTPException) as error:
            last = error
        time.sleep(0.1)

    problem = f"{server} is not ready after {seconds:g} s: {last}"
    raise WrongAnswer(f"{problem}. Start it with make predict.")


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


def check_payload(path: str, payload: dict[str, Any], case: Case) -> None:
    """Raise WrongAnswer unless the predictions are as the case expects."""
    predictions = payload.get("predictions")
    count = len(case.instances)
    if not isinstance(predictions, list) or len(predictions) != count:
        raise WrongAnswer(f"/{path}: expected {count} predictions, found {predictions}")

    labels = payload.get("labels", predictions)
    if not isinstance(labels, list) or not all(value in labels for value in predictions):
        raise WrongAnswer(f"/{path}: expected predictions among {labels}, found {predictions}")

    expected = case.content.get("expected", predictions)
    if predictions != expected:
        raise WrongAnswer(f"/{path}: expected {expected} ({case.file}), found {predictions}")


def check_model(server: str, directory: Path) -> str:
    """Post one model's instances and return a line about the answer.

    Raises WrongAnswer, or ConfigurationError for an invalid environment file.
    """
    path = check_file(directory / ".s2i" / "environment", "predict")[0].path
    case = read_case(directory)

    status, answer = fetch(f"{server}/{path}", case.body)
    if status != 200:
        raise WrongAnswer(f"/{path}: expected status 200, found {status}: {answer}")

    payload = payload_of(answer)
    check_payload(path, payload, case)
    predictions = payload["predictions"]
    return f"---> POST /{path}: {len(predictions)} predictions, as expected: {predictions}"


def main(directories: list[str]) -> int:
    """Check each model and return the exit code."""
    if not directories:
        print(__doc__, file=sys.stderr)
        return 2
    port = os.environ.get("PORT") or "5111"
    if not is_port(port):
        return 2

    server = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(server, float(os.environ.get("WAIT") or 60))
        for directory in directories:
            print(check_model(server, Path(directory)), flush=True)
    except FAILURES as error:
        print(f"test-endpoint: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
