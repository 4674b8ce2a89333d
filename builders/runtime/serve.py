"""The predict daemon: checks the variables, imports the routes, loads the models, then serves with gunicorn.

Variables: HOST (0.0.0.0), PORT (5000), WORKERS (the cgroup's CPUs, else 1), MAX_BODY_BYTES (16 MiB),
BODY_SECONDS (10), DRAIN_SECONDS (1). Exit code 78 for a variable or a route that can't be, 69 for a taken port.
"""

import asyncio
import atexit
import errno
import os
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from runtime.environment import CONFIGURATION, ConfigurationError, check

UNAVAILABLE = 69


def whole(variables: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """A variable as a whole number within bounds; raises ConfigurationError for any other text."""
    text = variables.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or len(text) > 15 or not least <= int(text) <= most:
        raise ConfigurationError(f"{name}={text}: expected a whole number from {least} to {most}")
    return int(text)


def cgroup_cpus(root: Path = Path("/sys/fs/cgroup")) -> int:
    """The whole CPUs that the container's cgroup (version 2 or 1) grants; 1 where it sets no limit."""
    with suppress(OSError, ValueError):
        quota, period = (root / "cpu.max").read_text().split()
        return max(1, int(quota) // int(period))
    with suppress(OSError, ValueError):
        quota, period = ((root / f"cpu/cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return max(1, int(quota) // int(period))
    return 1


class Worker(UvicornWorker):
    """A uvicorn worker that leaves by the lame-duck road: unready first, still serving, then stopped."""

    CONFIG_KWARGS = {
        "loop": "uvloop",
        "http": "httptools",
        "lifespan": "on",
        "access_log": False,
        "server_header": False,
    }

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        server = Server(self.config)
        loop = asyncio.get_running_loop()
        stop, quit_now = server.handle_exit, signal.SIGQUIT

        def drain(*_: Any) -> None:
            self.wsgi.draining = True
            loop.call_later(self.app.drain_seconds, stop, signal.SIGTERM, None)

        server.handle_exit = lambda number, frame: (
            loop.call_soon_threadsafe(drain) if number == signal.SIGTERM else stop(number, frame)
        )
        loop.add_signal_handler(quit_now, stop, quit_now, None)
        await server.serve(sockets=self.sockets)


class Daemon(BaseApplication):
    """gunicorn with our worker, loaded before the fork so that workers share the models' memory."""

    def __init__(self, variables: Mapping[str, str], front: Any):
        self.variables = variables
        self.front = front
        self.drain_seconds = drain_seconds(variables)
        super().__init__()

    def load_config(self) -> None:
        settings = {
            "bind": "{}:{}".format(*address(self.variables)),
            "workers": workers(self.variables),
            "worker_class": Worker,
            "preload_app": True,
            "loglevel": "warning",
            "keepalive": 75,  # longer than the 60 s after which most load balancers let an idle connection go
            "graceful_timeout": self.drain_seconds + 30,
            "control_socket_disable": True,
            "worker_tmp_dir": scratch(),
            "when_ready": lambda arbiter: announce(self.variables, self.front.endpoints),
            "child_exit": lambda arbiter, worker: forget(worker.pid),
            # A normal interpreter exit hangs in a forked child that has ONNX Runtime loaded.
            "worker_exit": lambda arbiter, worker: os._exit(0),
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self.front


def address(variables: Mapping[str, str]) -> tuple[str, int]:
    """Host and port to listen on."""
    return variables.get("HOST") or "0.0.0.0", whole(variables, "PORT", 5000, 1, 65535)


def announce(variables: Mapping[str, str], paths: Iterable[str]) -> None:
    """Says where the routes are."""
    host, port = address(variables)
    for path in paths:
        print(f"---> Answering POST http://{host}:{port}{path}", flush=True)


def workers(variables: Mapping[str, str]) -> int:
    """The number of worker processes."""
    return whole(variables, "WORKERS", cgroup_cpus(), 1, 64)


def drain_seconds(variables: Mapping[str, str]) -> int:
    """How long a worker serves on, unready, once it has been told to stop."""
    return whole(variables, "DRAIN_SECONDS", 1, 0, 600)


def scratch() -> str:
    """A folder that is writable even where the root is read-only: memory, if the system has it."""
    shared = "/dev/shm"
    return shared if os.access(shared, os.W_OK) else tempfile.gettempdir()


def forget(pid: int) -> None:
    """Takes a dead worker out of the metrics of living ones."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client import multiprocess  # not before the variable is set

        multiprocess.mark_process_dead(pid)


def check_free(host: str, port: int) -> None:
    """Raises OSError if the port is taken (gunicorn itself tells only after five seconds of retries)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def prepare(variables: MutableMapping[str, str]) -> Any:
    """The front with its routes imported and its models loaded; raises ConfigurationError."""
    routes = check(variables, "predict")
    for name, alias in (("MODElNAME", "MODEL_NAME"), ("MODEL_NAME", "MODElNAME")):
        if variables.get(alias):
            variables.setdefault(name, variables[alias])
    from runtime.front import Front, Limits
    from runtime.handler import endpoints

    limits = Limits(
        whole(variables, "MAX_BODY_BYTES", 16 << 20, 1, 1 << 40), whole(variables, "BODY_SECONDS", 10, 1, 3600)
    )
    drain_seconds(variables)
    front = Front(endpoints(routes), limits)
    for endpoint in front.endpoints.values():
        endpoint.refresh()
    return front


def main() -> int:
    """Serves until told to stop and returns the exit code."""
    variables = os.environ
    try:
        check_free(*address(variables))
        if workers(variables) > 1:
            variables["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="metrics-", dir=scratch())
            atexit.register(shutil.rmtree, variables["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
        front = prepare(variables)
        Daemon(variables, front).run()
    except ConfigurationError as error:
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        print(f"predict: {error}", file=sys.stderr)
        return CONFIGURATION
    except OSError as error:
        host, port = address(variables)
        another = "PORT" if error.errno == errno.EADDRINUSE else "HOST or PORT"
        print(f"predict: {host}:{port}: {error.strerror}; set another {another}", file=sys.stderr)
        return UNAVAILABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
