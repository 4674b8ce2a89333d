"""Posts a model's test instances to a running server and checks the answer. Standard library only.

Usage: check_endpoint.py MODEL_DIR...      on 127.0.0.1, PORT (5111); waits up to WAIT (60) seconds until ready
                                          API_KEY_FILE names a file whose first key is sent

Exit code 1 unless each model answers 200 with one prediction per instance, each among its labels, and equal to
`expected` where MODEL_DIR/test/test_instances.json has it.
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
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "builders")]
from port import is_port  # noqa: E402
from runtime.environment import ConfigurationError, check_file  # noqa: E402

# A proxy of the company's can't reach this machine's own port.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
SECONDS = 30


class WrongAnswer(Exception):
    """What a server answered and what was expected of it."""


def fetch(url: str, body: bytes | None = None) -> tuple[int, Any]:
    """Status and JSON of an answer; raises WrongAnswer if it isn't JSON, OSError if there is no answer."""
    request = urllib.request.Request(
        url, body, {"Content-Type": "application/json", **key()} if body else {}
    )
    try:
        with OPENER.open(request, timeout=SECONDS) as response:
            status, text = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    try:
        return status, json.loads(text)
    except ValueError:
        raise WrongAnswer(f"{url}: status {status}, expected JSON, found {text[:80]!r}") from None


def key() -> dict[str, str]:
    """The header with the first key of API_KEY_FILE; nothing if that isn't set or holds none."""
    keys = (
        Path(os.environ["API_KEY_FILE"]).read_text().split()
        if os.environ.get("API_KEY_FILE")
        else []
    )
    return {"Authorization": f"Bearer {keys[0]}"} if keys else {}


def wait_until_ready(server: str, seconds: float) -> None:
    """Returns once the server is ready; raises WrongAnswer with its last word if it isn't in time."""
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
    raise WrongAnswer(
        f"{server} is not ready after {seconds:g} s: {last}; start it with make predict"
    )


def test(server: str, directory: Path) -> str:
    """Posts one model's instances and returns a line that says what came back; raises WrongAnswer."""
    path = check_file(directory / ".s2i" / "environment", "predict")[0].path
    file = directory / "test" / "test_instances.json"
    content = file.read_bytes()
    try:
        test_case = json.loads(content)
        instances = test_case["payload"]["instances"]
    except (ValueError, KeyError, TypeError):
        raise WrongAnswer(
            f'{file}: expected {{"payload": {{"instances": [...]}}}}, found {content[:60]!r}'
        ) from None
    status, answer = fetch(f"{server}/{path}", content)
    if status != 200:
        raise WrongAnswer(f"/{path}: expected status 200, found {status}: {answer}")
    payload = answer.get("payload") if isinstance(answer, dict) else None
    payload = payload if isinstance(payload, dict) else {}
    predictions = payload.get("predictions")
    if not isinstance(predictions, list) or len(predictions) != len(instances):
        raise WrongAnswer(f"/{path}: expected {len(instances)} predictions, found {predictions}")
    labels = payload.get("labels", predictions)
    if not isinstance(labels, list) or not all(prediction in labels for prediction in predictions):
        raise WrongAnswer(f"/{path}: expected predictions among {labels}, found {predictions}")
    if predictions != test_case.get("expected", predictions):
        raise WrongAnswer(
            f"/{path}: expected {test_case['expected']} ({file}), found {predictions}"
        )
    return f"---> POST /{path}: {len(predictions)} predictions, as expected: {predictions}"


def main(directories: list[str]) -> int:
    """Tests each model and returns the exit code."""
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
            print(test(server, Path(directory)), flush=True)
    except (
        WrongAnswer,
        ConfigurationError,
        OSError,
        http.client.HTTPException,
        ValueError,
    ) as error:
        print(f"test-endpoint: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
