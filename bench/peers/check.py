"""Start each peer, check its answers to one row and to a hundred, and stop it.

Usage: python3 -m bench.peers.check [--wrong-body] [--model MODEL] NAME...

It runs in the repository's root and needs only the standard library. It prints one line for each
peer, mode and model (all three models without --model). The exit code is 1 if a check fails. The
expected answers are computed without the server: fit.py writes those of the pipeline, and a
separate process computes those of our Model. With --wrong-body, other rows are posted, so that
every check must fail.
"""

import argparse
import contextlib
import http.client
import importlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time

from bench.measure import models
from bench.peers.table import ROOT, rows

MODELS = tuple(models())
OURS = """
import json, sys
from bench.peers.table import rows
from utils.encode_decode import init_model
from utils.model import Model
print(json.dumps(Model(init_model(sys.argv[1])).predict(rows(100))["predictions"]))
"""
START_SECONDS = 90
# A wrong answer, a missing answer or a peer that can't be fitted raises one of these. The errors of
# http.client are not OSErrors.
FAILURES = (
    ValueError,
    LookupError,
    TypeError,
    RuntimeError,
    OSError,
    http.client.HTTPException,
    subprocess.SubprocessError,
)


def python(name, *arguments):
    """Run the peer's Python in the repository's root and return its output."""
    command = [ROOT / ".local" / f"peer-{name}" / "bin" / "python", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, env=environment())
    return done.stdout


def environment():
    """Return the environment with the repository in PYTHONPATH and without telemetry."""
    switches = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "BENTOML_DO_NOT_TRACK": "True",
        "DO_NOT_TRACK": "1",
    }
    return {**os.environ, **switches, "PYTHONPATH": str(ROOT)}


def expected(name, mode, model):
    """Return the classes of rows(100), computed without the server."""
    store = ROOT / ".local" / "peers" / name
    python(name, "-m", "bench.peers.fit", name, model, store)
    if mode == "ours":
        return json.loads(python(name, "-c", OURS, model))
    return json.loads((store / f"{model}.expected.json").read_text())["predictions"]


def free_port():
    """Return a free port; the next two, which some peers also use, are free too."""
    while True:
        with socket.socket() as probe, socket.socket() as second, socket.socket() as third:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                third.bind(("127.0.0.1", port + 2))
                return port


def post(port, request):
    """Return the status and the body of one answer."""
    path, headers, content = request
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("POST", path, content, headers)
        response = connection.getresponse()
        return response.status, response.read()


def wait(server, port, request):
    """Return the seconds until the server answered 200.

    Raises RuntimeError if it did not answer 200 in time.
    """
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
    """Stop the server and return the signal that stopped it."""
    # The first signal goes to the first process only, as when a container is stopped.
    server.terminate()
    if ended(server, 10):
        return "TERM"
    signals = [("TERM to its group", signal.SIGTERM), ("KILL", signal.SIGKILL)]
    for name, number in signals:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        if ended(server, 20):
            return name
    raise RuntimeError("SIGKILL did not stop the server")


def ended(server, seconds):
    """Return whether all processes of the server's group end within `seconds`."""
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
    """Raise ValueError unless one row and a hundred are answered as `wanted`."""
    module = importlib.import_module(f"bench.peers.{name}.request")
    for count in (1, 100):
        status, content = post(port, module.body(rows_to_post(count, wrong_body)))
        found = module.answers(status, content)
        if found != wanted[:count]:
            differences = count_differences(found, wanted)
            texts = f"expected {wanted[:count]}, found {found}"
            raise ValueError(f"{count} rows: {differences} answers differ: {texts}")


def count_differences(found, wanted):
    """Return how many answers differ."""
    if not isinstance(found, list):
        return "all"
    return sum(answer != expected for answer, expected in zip(found, wanted))


def rows_to_post(count, wrong_body):
    """Return the first `count` of the hundred rows.

    With `wrong_body`, the result is the last rows in reverse order.
    """
    if wrong_body:
        return rows(100)[-count:][::-1]
    return rows(100)[:count]


def check(name, mode, model, wrong_body):
    """Check a peer and return one line about it.

    Raises one of FAILURES if the check fails.
    """
    wanted = expected(name, mode, model)
    low_incomes = len(wanted) - sum(wanted)
    if not 1 < low_incomes < len(wanted) - 1:
        raise ValueError(f"almost all expected answers are the same: {wanted}")

    port = free_port()
    command = [ROOT / "bench/peers" / name / "start.sh", str(port), mode, model, "2"]
    log = ROOT / ".local" / "peers" / name / f"{model}-{mode}.log"
    with log.open("w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        module = importlib.import_module(f"bench.peers.{name}.request")
        seconds = wait(server, port, module.body(rows_to_post(1, wrong_body)))
        compare(name, port, wanted, wrong_body)
    finally:
        ending = stop(server)
    with socket.socket() as probe:
        if ending == "KILL" or probe.connect_ex(("127.0.0.1", port)) == 0:
            expected_end = "expected SIGTERM to stop the server and to close its port"
            raise RuntimeError(f"{expected_end}; stopped by {ending}")
    answers = f"first answer after {seconds:.1f} s, {sum(wanted)} of 100 over 50K"
    return f"ok, {answers}, ended by {ending}"


def main(arguments):
    """Check the named peers and return the exit code."""
    parser = argparse.ArgumentParser(prog="check.py", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--model", choices=MODELS)
    parser.add_argument("--wrong-body", action="store_true")
    options = parser.parse_args(arguments)
    chosen = [options.model] if options.model else MODELS
    failures = 0
    for name, mode, model in itertools.product(options.names, ("users", "ours"), chosen):
        try:
            line = check(name, mode, model, options.wrong_body)
        except FAILURES as error:
            failures += 1
            line = f"FAILED: {error}"
        print(f"{name:9} {mode:6} {model:17} {line}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
