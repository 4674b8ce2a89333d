"""Clients for the fault tests: many at once, each on a real connection, in a closed or an open loop."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, NamedTuple

Loop = Callable[..., Awaitable[list["Reply"]]]


class Reply(NamedTuple):
    """One answer: status (0 if none came), its Retry-After, seconds from the request's first byte to the last."""

    status: int
    retry_after: str
    seconds: float


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """A request as it stands on the wire."""
    kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: here\r\n{kind}\r\n".encode() + body


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes
) -> Reply:
    """Sends one request on a connection and reads its answer."""
    started = time.perf_counter()
    writer.write(sent)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
    await reader.readexactly(int(fields["content-length"]))
    return Reply(int(head.split()[1]), fields.get("retry-after", ""), time.perf_counter() - started)


async def once(port: int, sent: bytes) -> Reply:
    """One request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await exchange(reader, writer, sent)
    finally:
        writer.close()


async def _closed(port: int, sent: bytes, clients: int, seconds: float) -> list[Reply]:
    deadline = time.perf_counter() + seconds

    async def client() -> list[Reply]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        replies = []
        while time.perf_counter() < deadline:
            replies.append(await exchange(reader, writer, sent))
        writer.close()
        return replies

    return [
        reply
        for replies in await asyncio.gather(*(client() for _ in range(clients)))
        for reply in replies
    ]


async def _open(port: int, sent: bytes, rate: float, seconds: float) -> list[Reply]:
    tasks = []
    started = time.perf_counter()
    while (now := time.perf_counter() - started) < seconds:
        while len(tasks) < now * rate:
            tasks.append(asyncio.create_task(once(port, sent)))
        await asyncio.sleep(1 / rate / 2)
    return list(await asyncio.gather(*tasks))


def _run(loop: Loop, port: int, sent: bytes, load: float, seconds: float) -> list[Reply]:
    return asyncio.run(asyncio.wait_for(loop(port, sent, load, seconds), seconds + 60))


def finished(*work: Any) -> list[Reply]:
    """The replies, from a process of its own: what else the test does must not slow its clients."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_run, *work).result()


def closed_loop(port: int, sent: bytes, clients: int, seconds: float) -> list[Reply]:
    """`clients` that each send the next request once the last is answered, for `seconds`."""
    return finished(_closed, port, sent, clients, seconds)


def open_loop(port: int, sent: bytes, rate: float, seconds: float) -> list[Reply]:
    """`rate` requests a second, however long the answers take, for `seconds`."""
    return finished(_open, port, sent, rate, seconds)


def p99(replies: list[Reply]) -> float:
    """The 99th percentile of the seconds of those that were answered 200."""
    return statistics.quantiles([reply.seconds for reply in replies if reply.status == 200], n=100)[
        98
    ]
