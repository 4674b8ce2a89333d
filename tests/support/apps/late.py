"""The predict server with workers that handle no signal in their first second.

`python -m late stock` runs it under gunicorn's own arbiter. A busy machine may need a
second to install the handlers. An idle machine needs a thousandth of that.
"""

import sys
import time
from typing import Any

import gunicorn.arbiter
from runtime import serve

DEAF_SECONDS = 1.0


class LateServer(serve.PredictServer):
    """The predict server whose workers install their signal handlers a second late.

    The handlers that a worker inherits from its parent do nothing in it.
    """

    def start_worker(self, worker: Any) -> None:
        """Delay the start-up of a worker."""
        super().start_worker(worker)
        time.sleep(DEAF_SECONDS)


if __name__ == "__main__":
    serve.PredictServer = LateServer  # type: ignore[misc]
    if sys.argv[1:] == ["stock"]:
        serve.Arbiter = gunicorn.arbiter.Arbiter  # type: ignore[misc]
    sys.exit(serve.main())
