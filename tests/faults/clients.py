"""What the fault tests share: daemons with the faults' own application, clients that keep a server busy, memory."""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from conftest import MODEL_DIRS, ROOT, setting
from support.daemon import Daemon, instances, until
from traffic import request

from utils.encode_decode import init_model, pickle_model

PYTHONPATH = f"{ROOT / 'builders'}:{ROOT}:{ROOT / 'tests/faults'}"
ANSWER_SECONDS = 30
INSTANCES = instances(MODEL_DIRS[0])
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def routes(names: Iterable[str]) -> str:
    """ROUTES for functions of app.py, each under its own name."""
    return ",".join(f"{name}:app:{name}" for name in names)


def complete(daemon: Daemon, workers: int = 2) -> Daemon:
    """A daemon that is ready, once all its workers are there."""
    until(lambda: len(daemon.ready().workers()) == workers, 10)
    return daemon


class Application(Daemon):
    """The predict daemon with app.py's functions; `directory` holds models/."""

    def __init__(
        self, directory: Path, *names: str, prefix: tuple[str, ...] = (), **variables: str
    ):
        super().__init__(
            directory, routes(names), prefix, **{"PYTHONPATH": PYTHONPATH, **variables}
        )


class Naive(Daemon):
    """One of naive.py's servers."""

    def __init__(self, directory: Path, kind: str, *names: str, **variables: str):
        self.module = ("naive", kind)
        super().__init__(directory, routes(names), **{"PYTHONPATH": PYTHONPATH, **variables})


class Outcome(NamedTuple):
    """What became of a request: its status, 0 if it was lost, -1 if the connection was refused; times from monotonic().

    `worker` is the process id that the connection's last answer told of.
    """

    status: int
    sent: float
    ended: float
    body: bytes = b""
    worker: int = 0


class Load:
    """Clients that post without pause (or with one) on kept connections until the block ends.

    With `honour` they ask /ready too, and send nothing more once that isn't 200. After `turns` requests a client
    takes another connection, which another worker may accept.
    """

    def __init__(
        self,
        port: int,
        paths: list[str],
        body: bytes,
        clients: int = 64,
        honour: bool = False,
        pause: float = 0.0,
        turns: int = 0,
    ):
        self.outcomes: list[Outcome] = []
        self.keep: Callable[[Outcome], None] = self.outcomes.append
        self.port, self.paths, self.body = port, paths, body
        self.clients, self.honour, self.pause, self.turns = clients, honour, pause, turns
        self.asking = True
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.asking = False
        self._thread.join()

    def count(self, *statuses: int) -> int:
        return sum(outcome.status in statuses for outcome in self.outcomes)

    async def _run(self) -> None:
        watch = [self._watch()] if self.honour else []
        await asyncio.gather(*(self._client(number) for number in range(self.clients)), *watch)

    async def _watch(self) -> None:
        """Stops the clients once /ready isn't 200."""
        status = 200
        while self.asking and status == 200:
            try:
                streams = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                break
            outcome, _ = await self._ask(streams, request("GET", "/ready"), 0)
            await leave(streams)
            status = outcome.status
            await asyncio.sleep(0.05)
        self.asking = False

    async def _client(self, number: int) -> None:
        """One client: a connection, as long as it is kept, and one request after the other."""
        streams, worker, turn = None, 0, number
        posts = [request("POST", path, self.body) for path in self.paths]
        while self.asking:
            turn += 1
            try:
                streams = streams or await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                self.keep(Outcome(-1, 0, time.monotonic()))
                await asyncio.sleep(0.02)
                continue
            outcome, kept = await self._ask(streams, posts[turn % len(posts)], worker)
            self.keep(outcome)
            worker = outcome.worker
            if not kept or (self.turns and turn % self.turns == 0):
                await leave(streams)
                streams, worker = None, 0
            await asyncio.sleep(self.pause)
        if streams:
            await leave(streams)

    async def _ask(self, streams: Streams, data: bytes, worker: int) -> tuple[Outcome, bool]:
        """One request's outcome, and whether the connection is kept."""
        sent = time.monotonic()
        try:
            status, body, kept = await asyncio.wait_for(exchange(streams, data), ANSWER_SECONDS)
        except (OSError, EOFError, TimeoutError):
            return Outcome(0, sent, time.monotonic(), worker=worker), False
        told = re.search(rb'"pid":(\d+)', body)
        return Outcome(status, sent, time.monotonic(), body, int(told[1]) if told else worker), kept


async def exchange(streams: Streams, data: bytes) -> tuple[int, bytes, bool]:
    """Sends a request; its answer's status and body, and whether the connection is kept."""
    streams[1].write(data)
    head = (await streams[0].readuntil(b"\r\n\r\n")).lower()
    length = re.search(rb"content-length: (\d+)", head)
    body = await streams[0].readexactly(int(length[1]) if length else 0)
    return int(head[9:12]), body, b"connection: close" not in head


async def leave(streams: Streams) -> None:
    """Closes a connection."""
    streams[1].close()
    with suppress(OSError):
        await streams[1].wait_closed()


def memory(pid: int, what: str = "VmRSS") -> float:
    """What /proc/PID/status says of memory, in MB: VmRSS now, VmHWM at its highest."""
    return int(fields(pid)[what].split()[0]) / 1024


def fields(pid: int) -> dict[str, str]:
    """/proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def reset_peak(pid: int) -> None:
    """Lets VmHWM begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def variants(trained: Path, directory: Path, name: str) -> list[bytes]:
    """Two model files called `name` whose answers differ: a linear model and boosted trees."""
    found = []
    for source in (MODEL_DIRS[0], MODEL_DIRS[-1]):
        contents = init_model(setting(source, "MODEL_NAME"), trained / "models")
        contents.pop("digest")
        found.append(
            pickle_model({**contents, "modelName": name}, directory / "models").read_bytes()
        )
    return found


def put(directory: Path, name: str, content: bytes) -> None:
    """Puts a model file in place as pickle_model does: whole at once."""
    file = directory / "models" / f"{name}.pkl"
    file.with_suffix(".new").write_bytes(content)
    file.with_suffix(".new").rename(file)


def digest(content: bytes) -> str:
    """The digest in a model file's trailer."""
    return content[-40:-8].hex()


def post_head(path: str, header: str) -> bytes:
    """A POST's head as it stands on the wire."""
    return f"POST {path} HTTP/1.1\r\nHost: here\r\n{header}\r\n\r\n".encode()
