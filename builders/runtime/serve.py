"""The predict daemon: checks the variables, imports the routes, loads the models, then serves with gunicorn.

Its variables stand in README.md's table of settings. Exit code 78 for a variable or a route that can't be, 69 for a
taken port.
"""

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gunicorn.arbiter
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from runtime.app import Front, Limits
from runtime.auth import GuardedFront, read_keys
from runtime.endpoint import endpoints
from runtime.environment import CONFIGURATION, ConfigurationError, check
from runtime.http_limits import Protocol
from runtime.log import set_up, tell
from runtime.metrics import SLOTS

UNAVAILABLE = 69
LAST_TURNS = 10


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
        quota, period = (
            (root / f"cpu/cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
        )
        return max(1, int(quota) // int(period))
    return 1


class ServersLog(Logger):  # type: ignore[misc, unused-ignore]
    """gunicorn's own messages, and through it uvicorn's, in our form."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers = logging.getLogger().handlers


class Worker(UvicornWorker):
    """A uvicorn worker that leaves by the lame-duck road: unready first, still serving, then stopped."""

    CONFIG_KWARGS = {
        "loop": "uvloop",
        "http": Protocol,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "server_header": False,
    }

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        server = Server(self.config)
        self.wsgi.connections = server.server_state.connections
        loop = asyncio.get_running_loop()
        stop, quit_now = server.handle_exit, signal.SIGQUIT

        def drain() -> None:
            if not self.wsgi.draining:
                self.wsgi.draining = True
                tasks.append(loop.create_task(self._leave(server, stop)))

        tasks = [loop.create_task(self._follow_parent(drain))]
        server.handle_exit = lambda number, frame: (
            loop.call_soon_threadsafe(drain) if number == signal.SIGTERM else stop(number, frame)
        )
        loop.add_signal_handler(quit_now, stop, quit_now, None)
        await server.serve(sockets=self.sockets)

    async def _follow_parent(self, drain: Callable[[], None]) -> None:
        """Drains once the parent is gone: nobody would end or replace this worker, and it holds the port."""
        while os.getppid() == self.ppid:
            await asyncio.sleep(0.5)
        drain()

    async def _leave(self, server: Server, stop: Callable[[int, Any], None]) -> None:
        """Stops after the drain, and answers all that was sent by then; closing a socket resets what waits at it."""
        while (
            not server.started
        ):  # told to leave while it was starting: what is closed below isn't there yet
            await asyncio.sleep(0.05)
        await asyncio.sleep(self.app.drain_seconds)
        waiting = [connection for listening in self.sockets for connection in accepted(listening)]
        for listening in [*server.servers, *self.sockets]:
            listening.close()
        make = partial(
            self.config.http_protocol_class, self.config, server.server_state, server.lifespan.state
        )
        for connection in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(make, connection)
        for _ in range(LAST_TURNS):  # of the event loop, each of which reads what has come
            await asyncio.sleep(0.02)
        stop(signal.SIGTERM, None)


def accepted(listening: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait to be accepted."""
    with suppress(BlockingIOError):
        while True:
            yield listening.accept()[0]


class Settings(NamedTuple):
    """What the variables set, checked before anything is imported or loaded."""

    host: str
    port: int
    workers: int
    drain_seconds: int
    limits: Limits
    access_log: bool
    keys: tuple[bytes, ...]


def read_settings(variables: Mapping[str, str]) -> Settings:
    """The settings in `variables`; raises ConfigurationError for one that can't be."""
    return Settings(
        variables.get("HOST") or "0.0.0.0",
        whole(variables, "PORT", 5000, 1, 65535),
        whole(variables, "WORKERS", cgroup_cpus(), 1, SLOTS),
        whole(variables, "DRAIN_SECONDS", 1, 0, 600),
        Limits(
            whole(variables, "MAX_BODY_BYTES", 16 << 20, 1, 1 << 40),
            whole(variables, "BODY_SECONDS", 10, 1, 3600),
            whole(variables, "HEADER_SECONDS", 10, 1, 3600),
            whole(variables, "MAX_ROWS", 100_000, 1, 1 << 40),
            whole(variables, "MAX_WAITING", 100, 1, 1 << 40),
        ),
        bool(whole(variables, "ACCESS_LOG", 0, 0, 1)),
        read_keys(variables["API_KEY_FILE"]) if variables.get("API_KEY_FILE") else (),
    )


class Arbiter(gunicorn.arbiter.Arbiter):  # type: ignore[misc, unused-ignore]
    """gunicorn's own, which tells its workers to leave once: who has just been forked doesn't hear it, and stays."""

    def reap_workers(self) -> None:
        """Called ten times a second while the workers leave; what they listened on is gone by then."""
        super().reap_workers()
        if not self.LISTENERS:
            self.kill_workers(signal.SIGTERM)


class Daemon(BaseApplication):
    """gunicorn with our worker, loaded before the fork so that workers share the models' memory."""

    def __init__(self, settings: Settings, front: Any):
        self.settings = settings
        self.front = front
        self.drain_seconds = settings.drain_seconds
        super().__init__()

    def load_config(self) -> None:
        settings = {
            "bind": f"{self.settings.host}:{self.settings.port}",
            "workers": self.settings.workers,
            "worker_class": Worker,
            "preload_app": True,
            "loglevel": "warning",
            "keepalive": 75,  # longer than the 60 s after which most load balancers let an idle connection go
            "graceful_timeout": self.drain_seconds + 30,
            "control_socket_disable": True,
            "worker_tmp_dir": scratch(),
            "when_ready": lambda arbiter: self.announce(),
            "pre_fork": take_slot,
            "post_fork": lambda arbiter, worker: self.begin(worker),
            "on_exit": lambda arbiter: tell("stop", "Stopped"),
            "logger_class": ServersLog,
            # A normal interpreter exit hangs in a forked child that has ONNX Runtime loaded.
            "worker_exit": lambda arbiter, worker: os._exit(0),
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self.front

    def run(self) -> None:
        Arbiter(self).run()

    def begin(self, worker: Any) -> None:
        """Tells a new worker which cells are its own, and the log if it takes a dead one's place."""
        self.front.use_slot(worker.slot)
        if worker.age > self.settings.workers:
            tell("worker replaced", "a worker has died; this one takes its place", logging.WARNING)

    def announce(self) -> None:
        """Says where the routes are."""
        for path in self.front.endpoints:
            tell(
                "ready",
                f"Answering POST http://{self.settings.host}:{self.settings.port}{path}",
                route=path,
            )


def scratch() -> str:
    """A folder that is writable even where the root is read-only: memory, if the system has it."""
    shared = "/dev/shm"
    return shared if os.access(shared, os.W_OK) else tempfile.gettempdir()


def take_slot(arbiter: Any, worker: Any) -> None:
    """Gives a worker the cells that none of the living counts in."""
    taken = {other.slot for other in arbiter.WORKERS.values()}
    worker.slot = min(set(range(SLOTS)) - taken, default=0)


def check_free(host: str, port: int) -> None:
    """Raises OSError if the port is taken (gunicorn itself tells only after five seconds of retries)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def prepare(variables: MutableMapping[str, str], settings: Settings) -> Any:
    """The front with its routes imported and its models loaded; raises ConfigurationError."""
    routes = check(variables, "predict")
    for name, alias in (("MODElNAME", "MODEL_NAME"), ("MODEL_NAME", "MODElNAME")):
        if variables.get(alias):
            variables.setdefault(name, variables[alias])
    kind = GuardedFront if settings.keys else Front
    front = kind(endpoints(routes), settings.limits, settings.access_log, settings.keys)
    for endpoint in front.endpoints.values():
        endpoint.refresh()
    gc.freeze()  # what is here now stays: no collection need look at it, or write to the memory that workers share
    return front


def main() -> int:
    """Serves until told to stop and returns the exit code."""
    try:
        set_up(os.environ)
        settings = read_settings(os.environ)
        try:
            check_free(settings.host, settings.port)
        except OSError as error:
            another = "PORT" if error.errno == errno.EADDRINUSE else "HOST or PORT"
            where = f"{settings.host}:{settings.port}"
            tell("refused", f"{where}: {error.strerror}; set another {another}", logging.ERROR)
            return UNAVAILABLE
        front = prepare(os.environ, settings)
        tell(
            "start",
            f"Starting {settings.workers} worker{'s' * (settings.workers > 1)}",
            workers=settings.workers,
        )
        Daemon(settings, front).run()
    except ConfigurationError as error:
        cause = error.__cause__
        tell(
            "refused",
            str(error),
            logging.ERROR,
            "".join(traceback.format_exception(cause)) if cause else "",
        )
        return CONFIGURATION
    return 0


if __name__ == "__main__":
    sys.exit(main())
