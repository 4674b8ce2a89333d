"""A server with uvicorn's own protocol, the control for our protocol."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from support.commands import ROOT, wait_until
from support.network import free_port, is_listening


@contextmanager
def uvicorn_alone() -> Iterator[int]:
    """Run the application on uvicorn's own protocol; yield its port."""
    port = free_port()
    options = ("--port", str(port), "--http", "httptools", "--log-level", "error")
    command = [sys.executable, "-m", "uvicorn", "raw:app", *options]
    with subprocess.Popen(command, cwd=ROOT / "bench/apps/constant") as server:
        wait_until(lambda: is_listening(port), 30)
        yield port
        server.terminate()
