"""Find threads, processes and connections that an import has started.

A forked worker cannot use them.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from typing import NoReturn

from runtime.processes import child_processes, end_children

# Two processes cannot use the same one of these: connections, pipes, event loops, GPUs.
NOT_SHAREABLE = ("socket:", "pipe:", "anon_inode:", "/dev/nvidia")
THREADS = "/proc/self/task"
# A thread may be listed for a moment after its end.
LISTED_SECONDS = 0.05


class BeforeImport:
    """The state of the process before it imports the application."""

    def __init__(self) -> None:
        self.directory = os.getcwd()
        self.environment = dict(os.environ)
        self.descriptors = open_descriptors()
        self.signal_mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def started_since(self) -> dict[str, int]:
        """Return what the application has started that a forked worker cannot use.

        The result is empty if workers can be forked from this process. A thread or process that has
        ended does not count.
        """
        targets = [open_descriptors()[number] for number in self._new_descriptors()]
        # A new thread counts as one of a library until it runs Python code.
        of_libraries = native_threads()
        counts = {
            "threads": python_threads(),
            "threads of libraries": of_libraries,
            "processes": len(child_processes()),
            "event loops, pipes or connections": sum(
                target.startswith(NOT_SHAREABLE) for target in targets
            ),
        }
        return {name: count for name, count in counts.items() if count}

    def start_again(self) -> NoReturn:
        """Replace this program by a new one, which imports the application in each worker.

        This ends all threads, and closes the application's files and connections.
        """
        end_children()
        for number in self._new_descriptors():
            os.set_inheritable(number, False)
        os.chdir(self.directory)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.signal_mask)
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, sys.orig_argv, {**self.environment, "PRELOAD": "0"})

    def _new_descriptors(self) -> set[int]:
        return set(open_descriptors()).difference(self.descriptors)


def open_descriptors() -> dict[int, str]:
    """Return the open files by number; none on systems without /proc."""
    targets = {}
    with suppress(FileNotFoundError):
        for number in os.listdir("/proc/self/fd"):
            # The list contains the file descriptor of the list itself.
            with suppress(FileNotFoundError):
                targets[int(number)] = os.readlink(f"/proc/self/fd/{number}")
    return targets


def python_threads() -> int:
    """Return the number of threads that run Python code, without this one."""
    return len(sys._current_frames()) - 1


def native_threads() -> int:
    """Return the number of threads of libraries that a fork loses.

    OpenBLAS, which numpy starts at import, ends its threads before each fork. Parent and child
    start new ones when they need them. Therefore this function forks, and counts the threads that
    are left. They do not exist in a forked process:

    - OpenMP (xgboost and scikit-learn, once they have computed): the main thread of a forked
      process, which runs the event loop, waits for them forever. New threads do not.
    - ONNX Runtime (a session with more than one thread): it computes with one thread.
    - Other libraries: often, every thread waits for them forever.
    """
    if not _count_native_threads():
        return 0
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)

    deadline = time.monotonic() + LISTED_SECONDS
    while _count_native_threads() and time.monotonic() < deadline:
        time.sleep(0.001)
    return _count_native_threads()


def _count_native_threads() -> int:
    if not os.path.exists(THREADS):
        return 0
    return len(os.listdir(THREADS)) - 1 - python_threads()
