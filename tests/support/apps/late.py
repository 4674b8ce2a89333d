"""The predict daemon with workers that hear no signal for a second after their fork; `stock`: under gunicorn's arbiter.

A second is what a busy machine may take; a quiet one takes a thousandth of it.
"""

import sys
import time
from typing import Any

import gunicorn.arbiter
from runtime import serve

DEAF_SECONDS = 1.0
begin = serve.Daemon.begin


def late(self: serve.Daemon, worker: Any) -> None:
    """Runs in the worker, before it has handlers of its own; those that it has from its parent do nothing here."""
    begin(self, worker)
    time.sleep(DEAF_SECONDS)


if __name__ == "__main__":
    serve.Daemon.begin = late  # type: ignore[method-assign]
    if sys.argv[1:] == ["stock"]:
        serve.Arbiter = gunicorn.arbiter.Arbiter  # type: ignore[misc]
    sys.exit(serve.main())
