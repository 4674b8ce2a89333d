"""The predict server: it checks the settings, loads the models and runs gunicorn.

The settings are in runtime/settings.py. The exit code is 78 for an invalid variable or route, and
69 for a port that is not available.
"""

import errno
import gc
import logging
import os
import socket
import sys
import tempfile
from collections.abc import MutableMapping
from typing import Any

from gunicorn.app.base import BaseApplication

from runtime.app import App
from runtime.auth import read_keys
from runtime.endpoint import load_endpoints
from runtime.environment import CONFIGURATION, check, report_misspelled
from runtime.log import configure_logging, log_event
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


class PredictServer(BaseApplication):
    """A gunicorn server with our worker class.

    The models are loaded before the workers are forked, so that the workers share memory.
    """

    def __init__(self, settings: Settings, app: Any):
        self.settings = settings
        self.served_app = app
        self.drain_seconds = settings.drain_seconds
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's options; the base class calls it."""
        options = {
            "bind": join_address(self.settings.host, self.settings.port),
            "workers": self.settings.workers,
            "worker_class": Worker,
            "preload_app": True,
            "loglevel": "warning",
            "keepalive": KEEP_ALIVE_SECONDS,
            "graceful_timeout": self.drain_seconds + FINISH_SECONDS,
            "control_socket_disable": True,
            "worker_tmp_dir": writable_directory(),
            "pre_fork": assign_slot,
            "post_fork": lambda arbiter, worker: self.start_worker(worker),
            "when_ready": lambda arbiter: self.log_routes(),
            # In a forked child that has loaded ONNX Runtime, the normal exit of the interpreter
            # hangs.
            "worker_exit": lambda arbiter, worker: os._exit(0),
            "on_exit": lambda arbiter: log_event("stop", "Stopped"),
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the ASGI application; gunicorn calls it."""
        return self.served_app

    def run(self) -> None:
        """Serve until a signal stops the server."""
        Arbiter(self).run()

    def start_worker(self, worker: Any) -> None:
        """Assign a worker its counters; log a warning if it replaces a crashed worker."""
        self.served_app.use_slot(worker.slot)
        if worker.age > self.settings.workers:
            message = "a worker crashed. This worker replaces it."
            log_event("worker replaced", message, logging.WARNING)

    def log_routes(self) -> None:
        """Log the address of each route that is ready.

        The reason of a route that is not ready is in the log already.
        """
        address = self.settings.public_url
        for path, endpoint in self.served_app.endpoints.items():
            if endpoint.ready:
                log_event("ready", f"Answering POST {address}{path}", route=path)


def writable_directory() -> str:
    """Return a writable directory.

    Shared memory is writable even if the root file system is read-only.
    """
    shared_memory = "/dev/shm"
    if os.access(shared_memory, os.W_OK):
        return shared_memory
    return tempfile.gettempdir()


def assign_slot(arbiter: Any, worker: Any) -> None:
    """Give a worker the lowest slot of counters that no running worker uses."""
    used = {other.slot for other in arbiter.WORKERS.values()}
    free = set(range(MAX_WORKERS)) - used
    worker.slot = min(free, default=0)


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


def load_app(variables: MutableMapping[str, str], settings: Settings) -> App:
    """Import the routes, load the models and return the application.

    If only one of MODEL_NAME and MODElNAME is set in `variables`, the other one gets its value
    before the import. Raises ConfigurationError for an invalid variable, route or key file.
    """
    keys = read_keys(settings.api_key_file)
    routes = check(variables, "predict")
    for name, alias in (("MODElNAME", "MODEL_NAME"), ("MODEL_NAME", "MODElNAME")):
        if variables.get(alias):
            variables.setdefault(name, variables[alias])

    app = App(load_endpoints(routes, settings.max_rows), settings, keys)
    for endpoint in app.endpoints.values():
        endpoint.refresh()

    # Later garbage collections skip all existing objects. Therefore they do not write to the memory
    # that the workers share.
    gc.freeze()
    return app


def serve(settings: Settings) -> int:
    """Load the models, serve and return the exit code.

    Raises ConfigurationError for an invalid variable, route or key file.
    """
    problem = port_problem(settings.host, settings.port)
    if problem:
        log_event("refused", problem, logging.ERROR)
        return UNAVAILABLE
    for warning in report_misspelled(os.environ):
        log_event("variable", warning, logging.WARNING)

    app = load_app(os.environ, settings)
    plural = "s" if settings.workers > 1 else ""
    message = f"Starting {settings.workers} worker{plural}"
    log_event("start", message, workers=settings.workers)
    PredictServer(settings, app).run()
    return 0


def main() -> int:
    """Serve until a signal stops the server, and return the exit code."""
    configure_logging(os.environ.get("LOG_FORMAT", ""), os.environ.get("LOG_LEVEL", ""))
    try:
        return serve(read_settings(os.environ))
    except ConfigurationError as error:
        cause = error.__cause__
        trace = format_traceback(cause) if cause else ""
        log_event("refused", truncate(str(error)), logging.ERROR, trace)
        return CONFIGURATION


if __name__ == "__main__":
    sys.exit(main())
