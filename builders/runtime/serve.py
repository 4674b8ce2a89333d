"""The predict server: it checks the settings, loads the models and runs gunicorn.

The settings are in runtime/settings.py. The exit code is 78 for an invalid variable or route, and
69 for a port that is not available.
"""

import errno
import gc
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, MutableMapping
from typing import Any

from gunicorn.app.base import BaseApplication

from runtime.app import App
from runtime.auth import read_keys
from runtime.calls import RunningCalls
from runtime.endpoint import load_endpoints
from runtime.environment import CONFIGURATION, check, report_misspelled
from runtime.log import configure_logging, log_event
from runtime.metrics import Counts
from runtime.preload import BeforeImport
from runtime.processes import SERVER_SIGNALS, adopt_orphans, release_children
from runtime.randomness import find_generators, seed_generators
from runtime.settings import (
    MAX_WORKERS,
    ConfigurationError,
    Settings,
    join_address,
    read_settings,
)
from runtime.text import format_traceback, truncate
from runtime.worker import Arbiter, Worker

UNAVAILABLE = 69  # EX_UNAVAILABLE in sysexits.h
# Longer than the 60 s after which most load balancers close an idle connection.
KEEP_ALIVE_SECONDS = 75
# The requests in flight have this time to finish after the drain.
FINISH_SECONDS = 30
# A busy machine may run a worker's event loop this late.
BLOCKED_SECONDS = 5


class PredictServer(BaseApplication):
    """A gunicorn server with our worker class.

    Workers are forked from a process that has imported `app`, so that they share memory. If `app`
    is None, each worker imports it. `counts` are the counters of all workers, by path.
    """

    def __init__(
        self, settings: Settings, app: App | None, counts: Mapping[str, Counts] | None = None
    ):
        self.settings = settings
        self.served_app = app
        self.is_preloaded = app is not None
        self.generators = find_generators() if self.is_preloaded else []
        self.counts = counts or {}
        self.drain_seconds = settings.drain_seconds
        # The number of the first worker that has the current version of the application.
        self.first_age = 1
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's options; the base class calls it."""
        options = {
            "bind": join_address(self.settings.host, self.settings.port),
            "workers": self.settings.workers,
            "worker_class": Worker,
            "preload_app": self.is_preloaded,
            "loglevel": "warning",
            "keepalive": KEEP_ALIVE_SECONDS,
            "timeout": blocked_seconds(self.settings.function_seconds),
            "graceful_timeout": self.drain_seconds + FINISH_SECONDS,
            "control_socket_disable": True,
            "worker_tmp_dir": writable_directory(),
            "pre_fork": assign_memory,
            "child_exit": lambda arbiter, worker: log_interrupted(worker),
            "post_fork": lambda arbiter, worker: self.start_worker(worker),
            "post_worker_init": self.prepare_worker,
            "on_reload": self.use_new_application,
            "when_ready": lambda arbiter: self.log_routes(),
            # In a forked child that has loaded ONNX Runtime, the normal exit of the interpreter
            # hangs.
            "worker_exit": lambda arbiter, worker: os._exit(0),
            "on_exit": lambda arbiter: log_event("stop", "Stopped"),
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the ASGI application; gunicorn calls this method in each worker."""
        if self.served_app is None:
            self.served_app = self._load_in_worker()
            self.generators = find_generators()
        return self.served_app

    def _load_in_worker(self) -> App:
        """Import the application in a worker. An error ends the server."""
        try:
            return load_app(os.environ, self.settings, self.counts)
        except ConfigurationError as error:
            log_failed_start(error)
            os._exit(CONFIGURATION)

    def run(self) -> None:
        """Serve until a signal stops the server."""
        Arbiter(self).run()

    def use_new_application(self, arbiter: Any) -> None:
        """Let the next workers replace the current ones; gunicorn calls this after SIGHUP."""
        self.first_age = arbiter.worker_age + 1

    def start_worker(self, worker: Any) -> None:
        """Assign a worker its counters; log a warning if it replaces another worker."""
        release_children(self.settings.port)
        for counts in self.counts.values():
            counts.use_slot(worker.slot)
        if worker.age >= self.first_age + self.settings.workers:
            message = "a worker ended. This worker replaces it."
            log_event("worker replaced", message, logging.WARNING)

    def prepare_worker(self, worker: Any) -> None:
        """Prepare a worker that has the application and does not answer yet."""
        seed_generators(self.generators)
        worker.wsgi.running_calls = worker.running_calls
        if worker.age == self.first_age and not self.is_preloaded:
            self.log_routes()

    def log_routes(self) -> None:
        """Log the address of each route that is ready.

        The reason of a route that is not ready is in the log already.
        """
        if self.served_app is None:
            return
        address = self.settings.public_url
        for path, endpoint in self.served_app.endpoints.items():
            if endpoint.ready:
                log_event("ready", f"Answering POST {address}{path}", route=path)


def blocked_seconds(function_seconds: int) -> int:
    """Return how long a worker's event loop may be blocked; 0 is no limit.

    A function blocks it if it does not release Python's lock (GIL). The worker cannot answer then,
    and gunicorn kills it.
    """
    return function_seconds + BLOCKED_SECONDS if function_seconds else 0


def writable_directory() -> str:
    """Return a writable directory.

    Shared memory is writable even if the root file system is read-only.
    """
    shared_memory = "/dev/shm"
    if os.access(shared_memory, os.W_OK):
        return shared_memory
    return tempfile.gettempdir()


def assign_memory(arbiter: Any, worker: Any) -> None:
    """Give a worker memory that its parent reads.

    Its counters are the lowest slot that no running worker uses.
    """
    worker.running_calls = RunningCalls()
    used = {other.slot for other in arbiter.WORKERS.values()}
    free = set(range(MAX_WORKERS)) - used
    worker.slot = min(free, default=0)


def log_interrupted(worker: Any) -> None:
    """Log the calls that a worker has not finished when it ended."""
    calls = worker.running_calls.read()
    if calls:
        message = f"a worker ended during {calls}. The client gets no answer."
        log_event("worker crashed", message, logging.ERROR)


def port_problem(host: str, port: int) -> str:
    """Return why the server cannot listen on a port, or an empty text.

    gunicorn itself reports a port that is in use only after five seconds of retries.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            variable = "PORT" if error.errno == errno.EADDRINUSE else "HOST or PORT"
            address = join_address(host, port)
            return f"{address}: {error.strerror}. Set another {variable}."
    return ""


def load_app(
    variables: MutableMapping[str, str],
    settings: Settings,
    counts: Mapping[str, Counts] | None = None,
) -> App:
    """Import the routes, load the models and return the application.

    If only one of MODEL_NAME and MODElNAME is set in `variables`, the other one gets its value
    before the import. `counts` are the counters of all workers, by path. Raises ConfigurationError
    for an invalid variable, route or key file.
    """
    keys = read_keys(settings.api_key_file)
    routes = check(variables, "predict")
    for name, alias in (("MODElNAME", "MODEL_NAME"), ("MODEL_NAME", "MODElNAME")):
        if variables.get(alias):
            variables.setdefault(name, variables[alias])

    app = App(load_endpoints(routes, settings.max_rows, counts), settings, keys)
    for endpoint in app.endpoints.values():
        endpoint.refresh()
    # An application that blocks SIGTERM could not be stopped.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SERVER_SIGNALS)

    # Later garbage collections skip all existing objects. Therefore they do not write to the memory
    # that the workers share.
    gc.freeze()
    return app


def preload_app(settings: Settings, counts: Mapping[str, Counts]) -> App | None:
    """Import the application in this process if workers can be forked from it.

    Returns None if each worker has to import it. PRELOAD=auto finds out by importing it. If the
    import has started threads or processes, this program ends and starts again as a new program. An
    import in another process would find out the same, but double the time of every start-up.
    """
    if settings.preload == "0":
        return None
    before = BeforeImport()
    app = load_app(os.environ, settings, counts)
    started = before.started_since() if settings.preload == "auto" else {}
    if started:
        found = ", ".join(f"{name} ({count})" for name, count in started.items())
        message = f"the application has started {found} at import. Each worker imports it."
        log_event("import", message)
        before.start_again()
    return app


def serve(settings: Settings) -> int:
    """Load the models, serve and return the exit code.

    Raises ConfigurationError for an invalid variable, route or key file.
    """
    problem = port_problem(settings.host, settings.port)
    if problem:
        log_event("start failed", problem, logging.ERROR)
        return UNAVAILABLE
    for warning in report_misspelled(os.environ):
        log_event("misspelled variable", warning, logging.WARNING)

    # Invalid keys and routes are reported before a worker starts.
    read_keys(settings.api_key_file)
    counts = {route.path: Counts() for route in check(os.environ, "predict")}
    adopt_orphans()
    app = preload_app(settings, counts)
    plural = "s" if settings.workers > 1 else ""
    message = f"Starting {settings.workers} worker{plural}"
    log_event("start", message, workers=settings.workers)
    PredictServer(settings, app, counts).run()
    return 0


def log_failed_start(error: ConfigurationError) -> None:
    """Log why the server does not start."""
    cause = error.__cause__
    trace = format_traceback(cause) if cause else ""
    log_event("start failed", truncate(str(error)), logging.ERROR, trace)


def main() -> int:
    """Serve until a signal stops the server, and return the exit code."""
    configure_logging(os.environ.get("LOG_FORMAT", ""), os.environ.get("LOG_LEVEL", ""))
    try:
        return serve(read_settings(os.environ))
    except ConfigurationError as error:
        log_failed_start(error)
        return CONFIGURATION


if __name__ == "__main__":
    sys.exit(main())
