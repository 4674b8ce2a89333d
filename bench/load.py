"""Start servers and measure them under load from wrk."""

import os
import re
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from measure import clean_environment

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# wrk sends the bodies of a file in turn. With equal rows, the processor's caches would make the
# server faster than in use.
SCRIPT = """
local requests, turn = {}, 0
function init(args)
  local headers = {}
  for line in io.lines(args[1]) do
    local name, value = line:match("^(.-): (.*)$")
    headers[name] = value
  end
  for line in io.lines(args[2]) do
    requests[#requests + 1] = wrk.format("POST", wrk.path, headers, line)
  end
end
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
"""
UNITS_IN_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class Load(NamedTuple):
    """A measurement of wrk.

    `throughput` is in answers per second, `p50` and `p99` are latencies in ms. `errors` also counts
    missing answers.
    """

    throughput: float
    p50: float
    p99: float
    errors: int


class Server:
    """A running server in a separate process group."""

    def __init__(
        self, command: Sequence[str], port: int, variables: Mapping[str, str], cwd: Path, log: Path
    ):
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        self.started = time.perf_counter()
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                list(command),
                cwd=cwd,
                env={**clean_environment(), **variables},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def wait(
        self, path: str, headers: Mapping[str, str], body: bytes, seconds: float = 90
    ) -> float:
        """Return the seconds from exec to the first answer with status 200.

        Raises RuntimeError with the end of the server's log if there is no such answer.
        """
        last: object = None
        while time.perf_counter() < self.started + seconds and self.process.poll() is None:
            try:
                status, answer = post(self.url + path, headers, body)
                if status == 200:
                    return time.perf_counter() - self.started
                last = f"{status} {answer[:200]!r}"
            except OSError as error:
                last = error
            time.sleep(0.01)

        log = self.log.read_text()[-2000:]
        raise RuntimeError(f"{self.url}{path}: no status 200; last response: {last}; log: {log}")

    def stop(self) -> None:
        """End the complete process group."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(15)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue

    def memory_mb(self) -> float:
        """Return the proportional set size of all processes of the group, in MB."""
        kilobytes = 0
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if process_group(process) == self.process.pid:
                    kilobytes += proportional_kb(process)
            except (OSError, LookupError):
                # The process has ended.
                continue
        return kilobytes / 1000


def process_group(process: Path) -> int:
    """Return the group of a process; `process` is its folder in /proc."""
    # The program's name is in parentheses and may contain spaces. The group is the third field
    # after it.
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return int(fields[2])


def proportional_kb(process: Path) -> int:
    """Return the proportional set size of a process; `process` is its folder in /proc."""
    rollup = (process / "smaps_rollup").read_text()
    match = re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)
    if match is None:
        raise LookupError(f"{process}/smaps_rollup: no line 'Pss:'")
    return int(match[1])


def post(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
    """Return the status and the body of one answer."""
    request = urllib.request.Request(url, body, dict(headers))
    try:
        with OPENER.open(request, timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def load(
    url: str, headers: Mapping[str, str], bodies: Sequence[bytes], connections: int, seconds: float
) -> Load:
    """Send `bodies` in turn over `connections` kept-alive connections for `seconds`."""
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch) / "load.lua"
        script.write_text(SCRIPT)
        body_lines = Path(scratch) / "bodies"
        body_lines.write_bytes(b"\n".join(bodies) + b"\n")
        header_lines = Path(scratch) / "headers"
        header_lines.write_text("".join(f"{name}: {value}\n" for name, value in headers.items()))

        options = f"-t1 -c{connections} -d{seconds:g}s --timeout 30s --latency -s".split()
        command = ["wrk", *options, str(script), url, "--", str(header_lines), str(body_lines)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + 90, check=True
        )
    return parse_output(done.stdout)


def parse_output(text: str) -> Load:
    """Return the figures in wrk's output.

    Raises ValueError if it has none.
    """
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", text, re.MULTILINE)
    if rate is None:
        raise ValueError(f"wrk printed no figures: {text}")

    errors = 0
    for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", text):
        errors += int(number)
    for line in re.findall(r"Socket errors: (.*)", text):
        errors += sum(int(number) for number in re.findall(r"\d+", line))

    return Load(float(rate[1]), parse_latency(text, 50), parse_latency(text, 99), errors)


def parse_latency(text: str, percent: int) -> float:
    """Return a percentile of the latencies in ms.

    Raises ValueError if wrk's output has none.
    """
    match = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)", text, re.MULTILINE)
    if match is None:
        raise ValueError(f"wrk printed no figures: {text}")
    return float(match[1]) * UNITS_IN_MS[match[2]]
