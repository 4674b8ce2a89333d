"""Wait for the result of a predict function that is `async`.

Coroutines run on one event loop in a thread of its own. A connection pool that one call
creates works in the next call, because both run on the same loop. The server's event loop is not
used: a function that blocks would stop all requests.
"""

import asyncio
import os
import threading
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def wait(awaitable: Awaitable[Any]) -> Any:
    """Return the result of `awaitable`, or raise its exception, of whatever type."""
    future = asyncio.run_coroutine_threadsafe(_outcome(awaitable), _running_loop())
    result, error = future.result()
    if error is not None:
        raise error
    return result


async def _outcome(awaitable: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    """Return the result and the exception of `awaitable`.

    A SystemExit or a KeyboardInterrupt that leaves a task stops the loop.
    """
    try:
        return await awaitable, None
    except BaseException as error:
        return None, error


def _running_loop() -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_run, args=(_loop,), name="coroutines", daemon=True).start()
        return _loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    # Other tasks of the application can stop the loop or raise SystemExit too.
    while not loop.is_closed():
        with suppress(BaseException):
            loop.run_forever()


def _forget_loop() -> None:
    """Forget the loop in a forked process, which has no copy of its thread."""
    global _lock, _loop
    _lock = threading.Lock()
    _loop = None


os.register_at_fork(after_in_child=_forget_loop)
