"""Servers under load from wrk: starts them, sends varied rows, reads throughput, latency and errors."""

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
# wrk sends the bodies of a file in turn: equal rows would run from the processor's caches.
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


class Load(NamedTuple):
    """What wrk measured: answers per second, latencies in ms, and answers that were errors or never came."""

    throughput: float
    p50: float
    p99: float
    errors: int


class Server:
    """A running server in a process group of its own."""

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
        """Seconds from exec to the first answer 200; raises RuntimeError with the log's end if there is none."""
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
        raise RuntimeError(
            f"{self.url}{path}: no answer 200, last {last}; log: {self.log.read_text()[-2000:]}"
        )

    def stop(self) -> None:
        """Ends the whole process group."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(15)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue

    def memory_mb(self) -> float:
        """Proportional set size of all processes of the group, in MB."""
        total = 0
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                if int(status.read_text().rpartition(")")[2].split()[2]) == self.process.pid:
                    rollup = (status.parent / "smaps_rollup").read_text()
                    total += int(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)[1])  # type: ignore[index]
            except (OSError, TypeError):
                continue
        return total / 1000


def post(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
    """Status and body of one answer."""
    try:
        with OPENER.open(urllib.request.Request(url, body, dict(headers)), timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def load(
    url: str, headers: Mapping[str, str], bodies: Sequence[bytes], connections: int, seconds: float
) -> Load:
    """Sends `bodies` in turn over `connections` kept-alive connections for `seconds`."""
    with tempfile.TemporaryDirectory() as scratch:
        script, lines, wanted = (Path(scratch) / name for name in ("load.lua", "bodies", "headers"))
        script.write_text(SCRIPT)
        lines.write_bytes(b"\n".join(bodies) + b"\n")
        wanted.write_text("".join(f"{name}: {value}\n" for name, value in headers.items()))
        options = [
            "-t1",
            f"-c{connections}",
            f"-d{seconds:g}s",
            "--timeout",
            "30s",
            "--latency",
            "-s",
            str(script),
        ]
        command = ["wrk", *options, url, "--", str(wanted), str(lines)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + 90, check=True
        )
    return parsed(done.stdout)


def parsed(text: str) -> Load:
    """The figures in what wrk prints; raises ValueError if they aren't there."""
    found = {
        name: re.search(rf"^\s+{name}%\s+([\d.]+)(us|ms|s|m)", text, re.MULTILINE)
        for name in ("50", "99")
    }
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", text, re.MULTILINE)
    if rate is None or None in found.values():
        raise ValueError(f"wrk printed no figures: {text}")
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
    p50, p99 = (float(match[1]) * unit[match[2]] for match in found.values() if match)
    errors = sum(int(number) for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
    for line in re.findall(r"Socket errors: (.*)", text):
        errors += sum(int(number) for number in re.findall(r"\d+", line))
    return Load(float(rate[1]), p50, p99, errors)
