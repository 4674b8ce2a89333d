"""The worker process: a uvicorn worker of gunicorn that drains before it stops."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import gunicorn.arbiter
from gunicorn.errors import HaltServer
from uvicorn.config import Config
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from runtime.environment import CONFIGURATION
from runtime.http_protocol import StrictProtocol
from runtime.processes import child_processes, end_children

WATCH_SECONDS = 0.5
# After the drain, the event loop reads the requests that have arrived on the last connections.
LAST_READS = 10
LAST_READ_SECONDS = 0.02


class Worker(UvicornWorker):
    """A uvicorn worker that drains before it stops.

    The timeline of a shutdown, which begins with SIGTERM, when the parent process has exited, or
    when a predict function does not return:

    - At 0 s, /ready returns 503 and every response closes its connection. Requests are still
      answered.
    - At DRAIN_SECONDS, the worker closes the listening sockets. It accepts the connections in their
      backlog first, because closing a socket resets them.
    - 0.2 s later, the requests that have arrived are read, and uvicorn stops. It finishes the
      requests in flight.
    """

    CONFIG_KWARGS = {
        "loop": "uvloop",
        "http": StrictProtocol,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "server_header": False,
    }

    async def _serve(self) -> None:
        """Run uvicorn until it stops. The base class calls it."""
        self.config.app = self.wsgi
        self._server = OrphanedServer(self.config, self.ppid)
        self._stop = self._server.handle_exit
        self._server.handle_exit = self._handle_signal
        self._drain_task: asyncio.Task[None] | None = None
        self.wsgi.connections = self._server.server_state.connections
        self.wsgi.replace_worker = self._start_drain

        loop = asyncio.get_running_loop()
        self._loop = loop
        loop.add_signal_handler(signal.SIGQUIT, self._stop, signal.SIGQUIT, None)
        watch_task = loop.create_task(self._watch())
        await self._server.serve(sockets=self.sockets)
        watch_task.cancel()

    def _handle_signal(self, number: int, frame: Any) -> None:
        if number == signal.SIGTERM:
            self._loop.call_soon_threadsafe(self._start_drain)
        else:
            self._stop(number, frame)

    async def _watch(self) -> None:
        """Report to the parent that the event loop runs; drain without a parent.

        Without a parent, nothing else would stop this worker.
        """
        while os.getppid() == self.ppid:
            self.notify()
            await asyncio.sleep(WATCH_SECONDS)
        self._start_drain()

    def _start_drain(self) -> None:
        if self._drain_task is None:
            self.wsgi.draining = True
            self._drain_task = self._loop.create_task(self._drain())

    async def _drain(self) -> None:
        """Shut down according to the timeline in the docstring of the class."""
        await self._wait_for_startup()
        await asyncio.sleep(self.app.drain_seconds)
        await self._close_listeners()
        await self._read_last_requests()
        self._stop(signal.SIGTERM, None)

    async def _wait_for_startup(self) -> None:
        """Wait until uvicorn has opened what `_close_listeners` closes."""
        while not self._server.started:
            await asyncio.sleep(0.05)

    async def _close_listeners(self) -> None:
        """Close the listening sockets and serve the connections in their backlog."""
        waiting = [
            connection for listener in self.sockets for connection in accept_waiting(listener)
        ]
        for listener in [*self._server.servers, *self.sockets]:
            listener.close()

        make_protocol = partial(
            self.config.http_protocol_class,
            self.config,
            self._server.server_state,
            self._server.lifespan.state,
        )
        for connection in waiting:
            await self._loop.connect_accepted_socket(make_protocol, connection)

    async def _read_last_requests(self) -> None:
        for _ in range(LAST_READS):
            await asyncio.sleep(LAST_READ_SECONDS)


class OrphanedServer(Server):
    """uvicorn's server, which ends the child processes if the arbiter cannot do it."""

    def __init__(self, config: Config, parent: int):
        super().__init__(config)
        self.parent = parent

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the requests in flight; uvicorn calls this method last."""
        await super().shutdown(sockets)
        if os.getppid() != self.parent:
            end_children()


def accept_waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """Yield the connections in the backlog of a listening socket."""
    with suppress(BlockingIOError):
        while True:
            connection, _ = listener.accept()
            yield connection


class Arbiter(gunicorn.arbiter.Arbiter):  # type: ignore[misc, unused-ignore]
    """gunicorn's arbiter, which ends the processes of functions and repeats SIGTERM.

    gunicorn itself sends SIGTERM once. A worker that was just forked has no handler yet and misses
    it.
    """

    # The server ends with this code if a worker ends with it.
    APP_LOAD_ERROR = CONFIGURATION

    def start(self) -> None:
        """Open the port; gunicorn calls this before it forks the workers."""
        # The application has started these while it was imported.
        self.first_children = child_processes()
        super().start()

    def stop(self, graceful: bool = True) -> None:
        """Stop the workers, and then all processes that they have left."""
        super().stop(graceful)
        end_children()

    def manage_workers(self) -> None:
        """Fork the missing workers; then end what the ended workers have left."""
        has_lost_worker = len(self.WORKERS) < self.num_workers
        super().manage_workers()
        if has_lost_worker:
            end_children({*self.WORKERS, *self.first_children})

    def reap_workers(self) -> None:
        """Send SIGTERM again; gunicorn calls this ten times per second at shutdown.

        Raises HaltServer if a worker could not import the application.
        """
        is_shutting_down = not self.LISTENERS
        if not is_shutting_down:
            super().reap_workers()
            return
        # Several workers may end with the same error.
        with suppress(HaltServer):
            super().reap_workers()
        self.kill_workers(signal.SIGTERM)
