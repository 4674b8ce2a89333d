"""The threads in which predict functions run, and the time limit of a call."""

import asyncio
import math
import mmap
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import dropwhile

from runtime.endpoint import Endpoint, Outcome
from runtime.errors import RequestError, Response, error_response
from runtime.text import TRACEBACK_CHARACTERS, truncate

# A worker is not replaced if the call returns within this time after its limit.
GRACE_SECONDS = 2.0
CALLS_BYTES = 1024

# The body of a request, its Content-Type and its Content-Encoding.
Request = tuple[bytearray, str, bytes]


class RunningCalls:
    """The unanswered calls of a worker, which its parent reads if the worker ends."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, CALLS_BYTES)
        self._calls: set[str] = set()
        self._lock = threading.Lock()

    def add(self, call: str) -> None:
        """Add a call; any thread may do so."""
        with self._lock:
            self._calls.add(call)
            self._write()

    def remove(self, call: str) -> None:
        """Remove a call if it is still among the running ones."""
        with self._lock:
            self._calls.discard(call)
            self._write()

    def _write(self) -> None:
        text = ", ".join(self._calls).encode()[:CALLS_BYTES]
        self._memory[:] = text.ljust(CALLS_BYTES, b"\0")

    def read(self) -> str:
        """Return the calls as text; an empty text if none runs."""
        return self._memory[:].rstrip(b"\0").decode(errors="replace")


class Call:
    """One call of a function, and the response that its client gets."""

    def __init__(self, endpoint: Endpoint, request: Request, request_id: bytes):
        digest = endpoint.info.get("digest")
        model = f", model {digest}" if digest else ""
        self.name = f"POST {endpoint.path} (request {request_id.decode()}{model})"
        self.endpoint = endpoint
        self.request = request
        self.response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.started = math.inf


class FunctionThread:
    """The thread of one function, which `endpoints` share.

    A worker never runs a function twice at the same time: the function need not be thread-safe,
    and two inferences at the same time would slow down each other. Other functions have other
    threads, so a slow function delays only its own routes.

    If a call takes longer than `seconds` (0 is no limit), its client gets a 504 response. Clients
    of other calls get 503 until it returns.
    """

    def __init__(self, endpoints: Sequence[Endpoint], seconds: float, running: RunningCalls):
        self.endpoints = endpoints
        self.running = running
        self.seconds = seconds or math.inf
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(1, endpoints[0].path)
        self._ident = 0
        # The first one runs, the others wait.
        self._calls: list[Call] = []

    async def answer(self, endpoint: Endpoint, request: Request, request_id: bytes) -> Response:
        """Let the endpoint answer in this thread."""
        if endpoint.overdue:
            return endpoint.reject(not_ready(endpoint.overdue))
        call = Call(endpoint, request, request_id)
        self._calls.append(call)
        self._executor.submit(self._run, call)
        return await call.response

    def _run(self, call: Call) -> None:
        """Run a call. Only this method runs in the thread."""
        self._ident = threading.get_ident()
        outcome = None
        # A call that waited for an overdue call has its response already.
        if not call.response.done():
            call.started = time.monotonic()
            self.running.add(call.name)
            outcome = call.endpoint.compute(*call.request)
            self.running.remove(call.name)
        self._loop.call_soon_threadsafe(self._finish, call, outcome)

    def _finish(self, call: Call, outcome: Outcome | None) -> None:
        self._calls.remove(call)
        if outcome is None:
            return
        if call.response.done():
            self._set_overdue("")
        else:
            call.response.set_result(call.endpoint.count(*outcome))

    def check_limit(self) -> bool:
        """Answer the clients if the running call is overdue.

        Returns whether the call has still not returned after GRACE_SECONDS. The application calls
        this method a few times per second.
        """
        if not self._calls:
            return False
        call = self._calls[0]
        overdue_seconds = time.monotonic() - call.started - self.seconds
        if overdue_seconds > 0 and not call.response.done():
            self._reject_calls()
        return overdue_seconds > GRACE_SECONDS

    def _reject_calls(self) -> None:
        running, *waiting = self._calls
        text = f"the predict function did not return within {self.seconds:g} s"
        advice = "Send fewer rows, or set another FUNCTION_SECONDS."
        error = error_response(RequestError(504, "timeout", f"{text}. {advice}"))
        response = error._replace(traceback=self._stack())
        running.response.set_result(running.endpoint.reject(response))
        self.running.remove(running.name)

        self._set_overdue(f"{text}, and still runs")
        for call in waiting:
            call.response.set_result(call.endpoint.reject(not_ready(call.endpoint.overdue)))

    def _stack(self) -> str:
        """Return the stack of the running function."""
        stack = traceback.extract_stack(sys._current_frames().get(self._ident))
        # The first frames are those of Python's threads.
        own = dropwhile(lambda frame: frame.filename != __file__, stack)
        lines = ["The predict function is here:\n", *traceback.format_list(list(own))]
        return truncate("".join(lines), TRACEBACK_CHARACTERS)

    def _set_overdue(self, problem: str) -> None:
        for endpoint in self.endpoints:
            endpoint.overdue = problem

    def shutdown(self) -> None:
        """Cancel the waiting calls."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def not_ready(problem: str) -> Response:
    """Return the response while a call is overdue."""
    return error_response(RequestError(503, "not_ready", f"{problem}. Try again."))
