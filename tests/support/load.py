"""Load: many clients at once, each on a real connection.

Load runs clients in a thread of the test, which sees each outcome. closed_loop and open_loop run
them in a separate process, where the test can't slow them down, and return the outcomes. p99
evaluates these outcomes. The clients use asyncio, not `requests`, because 64 threads of one process
would slow down each other.
"""

import asyncio
import re
import statistics
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from typing import Any, NamedTuple, Self

from support.network import request_bytes

RESPONSE_SECONDS = 30
LOST = 0
REFUSED = -1
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Outcome(NamedTuple):
    """The outcome of a request: a status, LOST, or REFUSED (no connection).

    `sent` and `ended` are times of time.monotonic(). `worker` is the process id in the connection's
    last answer, 0 if there was none.
    """

    status: int
    sent: float
    ended: float
    headers: str = ""
    body: bytes = b""
    worker: int = 0

    @property
    def seconds(self) -> float:
        """The seconds from the first byte of the request to the last byte of the response."""
        return self.ended - self.sent

    @property
    def is_kept(self) -> bool:
        """Whether the connection may be used for another request."""
        return self.status > 0 and "connection: close" not in self.headers

    @property
    def retry_after(self) -> str:
        """The header Retry-After, or an empty text."""
        found = re.search(r"^retry-after: (.*?)\r$", self.headers, re.MULTILINE)
        return found[1] if found else ""


async def open_connection(port: int) -> Streams:
    """Open a connection to a server of this machine."""
    return await asyncio.open_connection("127.0.0.1", port)


async def close(streams: Streams) -> None:
    """Close a connection."""
    streams[1].close()
    with suppress(OSError):
        await streams[1].wait_closed()


async def exchange(streams: Streams, data: bytes, worker: int = 0) -> Outcome:
    """Send a request on a connection and read its response."""
    sent = time.monotonic()
    streams[1].write(data)

    head = (await streams[0].readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = re.search(r"content-length: (\d+)", head)
    body = await streams[0].readexactly(int(length[1]) if length else 0)

    pid = re.search(rb'"pid":(\d+)', body)
    if pid:
        worker = int(pid[1])
    return Outcome(int(head[9:12]), sent, time.monotonic(), head, body, worker)


class Load:
    """Clients that post on open connections without a pause until the block ends.

    `pause` seconds are between a client's requests. With `heed_ready` one more client reads /ready,
    and no client sends anything once that isn't 200. After `turns` requests a client opens another
    connection, which another worker may accept. `keep` gets each outcome; it adds to `outcomes`
    unless a test replaces it.
    """

    def __init__(
        self,
        port: int,
        paths: list[str],
        body: bytes,
        clients: int = 64,
        heed_ready: bool = False,
        pause: float = 0.0,
        turns: int = 0,
    ):
        self.outcomes: list[Outcome] = []
        self.keep: Callable[[Outcome], None] = self.outcomes.append
        self.port = port
        self.posts = [request_bytes("POST", path, body) for path in paths]
        self.clients = clients
        self.heed_ready = heed_ready
        self.pause = pause
        self.turns = turns
        self.is_running = True
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_running = False
        self._thread.join()

    def count(self, *statuses: int) -> int:
        """Return how many requests ended with one of these statuses."""
        return sum(outcome.status in statuses for outcome in self.outcomes)

    async def _run(self) -> None:
        """Run all clients to their end."""
        clients = [self._client(number) for number in range(self.clients)]
        if self.heed_ready:
            clients.append(self._watch_ready())
        await asyncio.gather(*clients)

    async def _watch_ready(self) -> None:
        """Stop the clients once /ready isn't 200."""
        status = 200
        while self.is_running and status == 200:
            try:
                streams = await open_connection(self.port)
            except OSError:
                break

            outcome = await self._ask(streams, request_bytes("GET", "/ready"), 0)
            await close(streams)
            status = outcome.status
            await asyncio.sleep(0.05)
        self.is_running = False

    async def _client(self, number: int) -> None:
        """Send one request after the other; each client starts with another path."""
        turn = number
        while self.is_running:
            try:
                streams = await open_connection(self.port)
            except OSError:
                self.keep(Outcome(REFUSED, 0, time.monotonic()))
                await asyncio.sleep(0.02)
                continue

            turn = await self._use(streams, turn)
            await close(streams)

    async def _use(self, streams: Streams, turn: int) -> int:
        """Send requests on one connection until it is closed; return the last turn."""
        worker = 0
        while self.is_running:
            turn += 1
            outcome = await self._ask(streams, self.posts[turn % len(self.posts)], worker)
            self.keep(outcome)
            worker = outcome.worker
            await asyncio.sleep(self.pause)

            is_last = self.turns > 0 and turn % self.turns == 0
            if is_last or not outcome.is_kept:
                break
        return turn

    async def _ask(self, streams: Streams, data: bytes, worker: int) -> Outcome:
        """Send one request and return its outcome, also after an error."""
        sent = time.monotonic()
        try:
            return await asyncio.wait_for(exchange(streams, data, worker), RESPONSE_SECONDS)
        except (OSError, EOFError, TimeoutError):
            return Outcome(LOST, sent, time.monotonic(), worker=worker)


def closed_loop(port: int, data: bytes, clients: int, seconds: float) -> list[Outcome]:
    """Let each client send a request when the previous one has been answered."""
    return _in_process(_closed_loop, port, data, clients, seconds)


def open_loop(port: int, data: bytes, rate: float, seconds: float) -> list[Outcome]:
    """Send `rate` requests per second, independent of the response times."""
    return _in_process(_open_loop, port, data, rate, seconds)


def p99(outcomes: list[Outcome]) -> float:
    """Return the 99th percentile of the seconds of requests answered with 200."""
    seconds = [outcome.seconds for outcome in outcomes if outcome.status == 200]
    return statistics.quantiles(seconds, n=100)[98]


async def _closed_loop(port: int, data: bytes, clients: int, seconds: float) -> list[Outcome]:
    deadline = time.monotonic() + seconds
    outcomes: list[Outcome] = []

    async def client() -> None:
        streams = await open_connection(port)
        while time.monotonic() < deadline:
            outcomes.append(await exchange(streams, data))
        await close(streams)

    await asyncio.gather(*(client() for _ in range(clients)))
    return outcomes


async def _open_loop(port: int, data: bytes, rate: float, seconds: float) -> list[Outcome]:
    async def client() -> Outcome:
        streams = await open_connection(port)
        try:
            return await exchange(streams, data)
        finally:
            streams[1].close()

    requests: list[asyncio.Task[Outcome]] = []
    started = time.monotonic()
    passed = 0.0
    while passed < seconds:
        while len(requests) < passed * rate:
            requests.append(asyncio.create_task(client()))
        await asyncio.sleep(1 / rate / 2)
        passed = time.monotonic() - started

    return list(await asyncio.gather(*requests))


def _in_process(loop: Callable[..., Awaitable[list[Outcome]]], *arguments: Any) -> list[Outcome]:
    """Run a loop in a separate process and return its outcomes."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_run_loop, loop, *arguments).result()


def _run_loop(
    loop: Callable[..., Awaitable[list[Outcome]]],
    port: int,
    data: bytes,
    load: float,
    seconds: float,
) -> list[Outcome]:
    limited = asyncio.wait_for(loop(port, data, load, seconds), seconds + 60)
    return asyncio.run(limited)
