"""Release and end the processes that an application starts."""

import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from functools import partial
from pathlib import Path

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

SERVER_SIGNALS = {*Arbiter.SIGNALS, *Worker.SIGNALS}
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
CHECK_SECONDS = 0.01
# A process gets this time to end after SIGTERM, and again after SIGKILL.
END_SECONDS = 1.0


def release_children(port: int) -> None:
    """Remove the server's signal handlers and sockets from later forked processes.

    Python's signal handlers replace those of the server, so that SIGTERM ends a forked process.
    With the server's sockets, a forked process would keep the port in use.
    """
    os.register_at_fork(after_in_child=partial(_release, port))


def _release(port: int) -> None:
    # The server's event loop would read the signals of the child from this file descriptor.
    signal.set_wakeup_fd(-1)
    for number in SERVER_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _drop_sockets(port)


def _drop_sockets(port: int) -> None:
    """Replace the server's sockets by /dev/null.

    Closed numbers would be used again, and the objects that still have them would close them.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/dev/fd"):
        if _is_on_port(int(name), port):
            os.dup2(null, int(name), inheritable=False)
    os.close(null)


def _is_on_port(descriptor: int, port: int) -> bool:
    try:
        connection = socket.socket(fileno=descriptor)
    # The descriptor is not a socket.
    except OSError:
        return False
    is_tcp = connection.family in (socket.AF_INET, socket.AF_INET6)
    is_on_port = is_tcp and connection.getsockname()[1] == port
    connection.detach()
    return is_on_port


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def child_processes() -> set[int]:
    """Return the process ids of the children; none on systems without /proc."""
    children: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            children.update(map(int, path.read_text().split()))
    return children


def end_children(kept: Collection[int] = ()) -> None:
    """End all child processes except `kept`, with SIGTERM and then with SIGKILL.

    After adopt_orphans, this also ends the children of these processes.
    """
    started = time.monotonic()
    signalled: set[tuple[int, signal.Signals]] = set()
    while children := child_processes().difference(kept):
        waited = time.monotonic() - started
        if waited > 2 * END_SECONDS:
            return
        number = signal.SIGTERM if waited < END_SECONDS else signal.SIGKILL
        for pid in children:
            if (pid, number) not in signalled:
                os.kill(pid, number)
                signalled.add((pid, number))
            os.waitpid(pid, os.WNOHANG)
        time.sleep(CHECK_SECONDS)
