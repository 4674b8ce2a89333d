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
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from runtime.http_protocol import StrictProtocol

PARENT_CHECK_SECONDS = 0.5
# After the drain, the event loop reads the requests that have arrived on the last connections.
LAST_READS = 10
LAST_READ_SECONDS = 0.02


class Worker(UvicornWorker):
    """A uvicorn worker that drains before it stops.

    The timeline of a shutdown, which begins with SIGTERM or when the parent process has exited:

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
        self._server = Server(self.config)
        self._stop = self._server.handle_exit
        self._server.handle_exit = self._handle_signal
        self._drain_task: asyncio.Task[None] | None = None
        self.wsgi.connections = self._server.server_state.connections

        loop = asyncio.get_running_loop()
        self._loop = loop
        loop.add_signal_handler(signal.SIGQUIT, self._stop, signal.SIGQUIT, None)
        watch_task = loop.create_task(self._drain_without_parent())
        await self._server.serve(sockets=self.sockets)
        watch_task.cancel()

    def _handle_signal(self, number: int, frame: Any) -> None:
        if number == signal.SIGTERM:
            self._loop.call_soon_threadsafe(self._start_drain)
        else:
            self._stop(number, frame)

    async def _drain_without_parent(self) -> None:
        """Start to drain if the parent has exited.

        Without a parent, nothing else would stop this worker.
        """
        while os.getppid() == self.ppid:
            await asyncio.sleep(PARENT_CHECK_SECONDS)
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


def accept_waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """Yield the connections in the backlog of a listening socket."""
    with suppress(BlockingIOError):
        while True:
            connection, _ = listener.accept()
            yield connection


class Arbiter(gunicorn.arbiter.Arbiter):  # type: ignore[misc, unused-ignore]
    """gunicorn's arbiter, which repeats SIGTERM during a shutdown.

    gunicorn itself sends it once. A worker that was just forked has no handler yet and misses it.
    """

    def reap_workers(self) -> None:
        """Send SIGTERM again; gunicorn calls this ten times per second at shutdown."""
        super().reap_workers()
        is_shutting_down = not self.LISTENERS
        if is_shutting_down:
            self.kill_workers(signal.SIGTERM)
