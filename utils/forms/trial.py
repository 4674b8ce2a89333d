"""Try a model file in a forked process, which the file may crash."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import warnings
from collections.abc import Callable
from typing import Any

from utils.errors import ModelFileError

# Loading a forest of a million nodes takes a few seconds.
TRIAL_SECONDS = 60.0


def try_in_child(name: str, task: Callable[[], Any]) -> None:
    """Run a task for model `name` in a forked process.

    Raises ModelFileError if the task raises an exception, takes longer than TRIAL_SECONDS, or ends
    its process.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_run, args=(task, sender), daemon=True)
    with warnings.catch_warnings():
        # The child does not use what other threads may have locked.
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    sender.close()
    try:
        problem = _result(name, receiver, child)
    finally:
        child.kill()
        child.join()
        receiver.close()
        child.close()
    if problem:
        raise ModelFileError(problem)


def _result(name: str, receiver: Any, child: Any) -> str:
    """Return why the child's task failed, or an empty text."""
    if not receiver.poll(TRIAL_SECONDS):
        problem = f"loading it takes longer than {TRIAL_SECONDS:g} s"
        return f"model {name}: {problem}. Train a smaller model."
    try:
        return str(receiver.recv())
    # The child has ended without a result.
    except EOFError:
        child.join()
    cause = f"exit code {child.exitcode}"
    if child.exitcode < 0:
        cause = signal.Signals(-child.exitcode).name
    return f"model {name}: loading it ends the process ({cause}). Train it again."


def _run(task: Callable[[], Any], sender: Any) -> None:
    # The main thread of a forked process cannot use the threads of OpenMP that it had before.
    thread = threading.Thread(target=_send_result, args=(task, sender))
    thread.start()
    thread.join()


def _send_result(task: Callable[[], Any], sender: Any) -> None:
    try:
        task()
    except ModelFileError as error:
        sender.send(str(error))
    else:
        sender.send("")
