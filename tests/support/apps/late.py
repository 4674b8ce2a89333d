"""The predict server with workers that hear no signal for a second after their fork.

`python -m late stock` runs it under gunicorn's own arbiter. A second is what a busy machine may
take; an idle one takes a thousandth of it.
"""

import sys
import time
from typing import Any

import gunicorn.arbiter
from runtime import serve

DEAF_SECONDS = 1.0
begin = serve.Daemon.begin


def begin_late(self: serve.Daemon, worker: Any) -> None:
    """Begin a worker's life, and let a second pass before it has signal handlers.

    The handlers that it inherits from its parent do nothing in a worker.
    """
    begin(self, worker)
    time.sleep(DEAF_SECONDS)


if __name__ == "__main__":
    serve.Daemon.begin = begin_late  # type: ignore[method-assign]
    if sys.argv[1:] == ["stock"]:
        serve.Arbiter = gunicorn.arbiter.Arbiter  # type: ignore[misc]
    sys.exit(serve.main())
