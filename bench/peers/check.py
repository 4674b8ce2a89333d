"""Starts peers, posts one row and a hundred to each, compares the answers, stops them. Standard library only.

Usage: python3 -m bench.peers.check [--wrong-body] [--model MODEL] NAME...    (from the repository's root)

One line per peer, mode and model (all three unless --model); exit code 1 on any failure. Expected answers are not the
server's: the pipeline's own, written by fit.py, or our Model's, asked in another process. --wrong-body shuffles the
rows that are posted, so that every check must fail.
"""

import argparse
import contextlib
import http.client
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

from bench.peers.table import ROOT, rows

MODELS = ("adult_income_lr", "adult_income_rf", "adult_income_xgb")
OURS = """
import json, sys
from bench.peers.table import rows
from utils.encode_decode import init_model
from utils.serving import Model
print(json.dumps(Model(init_model(sys.argv[1])).predict(rows(100))["predictions"]))
"""
START_SECONDS = 90
# A wrong answer, none at all, or a peer that can't be fitted; http.client's errors aren't OSErrors.
FAILURES = (ValueError, LookupError, TypeError, RuntimeError, OSError)
FAILURES += (http.client.HTTPException, subprocess.SubprocessError)


def python(name, *arguments):
    """The output of the peer's own Python, run at the repository's root."""
    command = [ROOT / ".local" / f"peer-{name}" / "bin" / "python", *arguments]
    return subprocess.run(
        command, cwd=ROOT, check=True, stdout=subprocess.PIPE, env=environment()
    ).stdout


def environment():
    """This environment with the repository importable and every telemetry off."""
    switches = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "BENTOML_DO_NOT_TRACK": "True",
        "DO_NOT_TRACK": "1",
    }
    return {**os.environ, **switches, "PYTHONPATH": str(ROOT)}


def expected(name, mode, model):
    """The classes of rows(100), computed without the server."""
    store = ROOT / ".local" / "peers" / name
    python(name, "-m", "bench.peers.fit", name, model, store)
    if mode == "ours":
        return json.loads(python(name, "-c", OURS, model))
    return json.loads((store / f"{model}.expected.json").read_text())["predictions"]


def free_port():
    """A port that is free, and the two after it, which some peers take too."""
    while True:
        with socket.socket() as probe, contextlib.ExitStack() as others:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                for offset in (1, 2):
                    others.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
                return port


def post(port, request):
    """Status and body of one request."""
    path, headers, content = request
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("POST", path, content, headers)
        response = connection.getresponse()
        return response.status, response.read()


def wait(server, port, request):
    """Returns the seconds until the server answered 200; raises RuntimeError if it doesn't in time."""
    started = time.monotonic()
    last = "no answer"
    while time.monotonic() < started + START_SECONDS and server.poll() is None:
        try:
            status, content = post(port, request)
            if status == 200:
                return time.monotonic() - started
            last = f"status {status}: {content[:300]!r}"
        except (OSError, http.client.HTTPException) as error:
            last = repr(error)
        time.sleep(0.2)
    raise RuntimeError(f"not ready, exit code {server.poll()}, {last}")


def stop(server):
    """Ends the server; returns which signal it took. TERM goes to its first process, as containers do it."""
    server.terminate()
    if ended(server, 10):
        return "TERM"
    signals = [("TERM to its group", signal.SIGTERM), ("KILL", signal.SIGKILL)]
    for name, number in signals:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        if ended(server, 20):
            return name
    raise RuntimeError("can't be stopped")


def ended(server, seconds):
    """Whether all processes of the server's group are gone within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        server.poll()
        try:
            os.killpg(server.pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def compare(name, port, wanted, wrong_body):
    """Raises ValueError unless one row and a hundred are answered as `wanted`."""
    module = importlib.import_module(f"bench.peers.{name}.request")
    for count in (1, 100):
        found = module.answers(*post(port, module.body(posted(count, wrong_body))))
        if found != wanted[:count]:
            differ = (
                sum(a != b for a, b in zip(found, wanted)) if isinstance(found, list) else "all"
            )
            raise ValueError(
                f"{count} rows: {differ} answers differ: expected {wanted[:count]}, found {found}"
            )


def posted(count, wrong_body):
    """The first `count` of the hundred rows; wrong: the last ones."""
    return rows(100)[-count:][::-1] if wrong_body else rows(100)[:count]


def check(name, mode, model, wrong_body):
    """One line about a peer; raises what went wrong."""
    wanted = expected(name, mode, model)
    if not 1 < len(wanted) - sum(wanted) < len(wanted) - 1:
        raise ValueError(f"the expected answers are nearly all the same: {wanted}")
    port = free_port()
    command = [ROOT / "bench/peers" / name / "start.sh", str(port), mode, model, "2"]
    log = ROOT / ".local" / "peers" / name / f"{model}-{mode}.log"
    with log.open("w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        module = importlib.import_module(f"bench.peers.{name}.request")
        seconds = wait(server, port, module.body(posted(1, wrong_body)))
        compare(name, port, wanted, wrong_body)
    finally:
        ending = stop(server)
    with socket.socket() as probe:
        if ending == "KILL" or probe.connect_ex(("127.0.0.1", port)) == 0:
            raise RuntimeError(f"stopped by {ending}, and its port must be closed then")
    return (
        f"ok, first answer after {seconds:.1f} s, {sum(wanted)} of 100 over 50K, ended by {ending}"
    )


def main(arguments):
    """Checks the peers named; returns the exit code."""
    parser = argparse.ArgumentParser(prog="check.py", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--model", choices=MODELS)
    parser.add_argument("--wrong-body", action="store_true")
    options = parser.parse_args(arguments)
    failures = 0
    for name in options.names:
        for mode in ("users", "ours"):
            for model in [options.model] if options.model else MODELS:
                try:
                    line = check(name, mode, model, options.wrong_body)
                except FAILURES as error:
                    failures += 1
                    line = f"FAILED: {error}"
                print(f"{name:9} {mode:6} {model:17} {line}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
