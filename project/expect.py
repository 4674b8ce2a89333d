"""Write a running server's answers into a model's test instances as `expected`.

Usage: expect.py MODEL_DIR      on 127.0.0.1, PORT (5111)     (make expect)

The predictions are checked as `make test-endpoint` does. This module uses only the standard
library, and runs on Python 3.9.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "engines"))
from check_endpoint import FAILURES, check_payload, payload_of, read_case  # noqa: E402
from client import WrongAnswer, fetch, reason_of, wait_seconds  # noqa: E402
from port import is_port  # noqa: E402
from readiness import wait_until_ready  # noqa: E402
from runtime.environment import check_file  # noqa: E402

from project.command import run_command  # noqa: E402
from project.git import FAILED, USAGE, ProjectError  # noqa: E402
from project.instance_file import instances_text  # noqa: E402


def write_expected(server: str, directory: Path) -> None:
    """Post the test instances and write the predictions next to them.

    Raises WrongAnswer if the server does not answer with predictions.
    """
    case = read_case(directory)
    route = check_file(directory / ".s2i" / "environment", "predict")[0].path
    status, answer = fetch(f"{server}/{route}", case.body)
    if status != 200:
        raise WrongAnswer(f"/{route}: expected status 200, found {status}: {reason_of(answer)}")

    payload = payload_of(answer)
    others = {name: value for name, value in case.content.items() if name != "payload"}
    others.pop("expected", None)
    check_payload(payload, case._replace(content=others))
    predictions = payload["predictions"]
    text = instances_text(case.content["payload"], **others, expected=predictions)
    case.file.write_text(text, encoding="utf-8")
    name = f"{directory.resolve().name}/test/{case.file.name}"
    print(f"---> Wrote {len(predictions)} predictions to {name}: {predictions}")


def main() -> None:
    """Wait for the server and write its predictions. Raises ProjectError."""
    port = os.environ.get("PORT") or "5111"
    if not is_port(port):
        raise ProjectError("set PORT to the number of a port.", USAGE)
    server = f"http://127.0.0.1:{port}"
    image = f"{os.environ.get('CONTAINER_NAME', '')}-predict"
    try:
        wait_until_ready(server, wait_seconds(), image)
        write_expected(server, Path(sys.argv[1]))
    except FAILURES as error:
        raise ProjectError(f"{error}. Nothing was written.", FAILED) from None


if __name__ == "__main__":
    sys.exit(run_command("expect", main))
