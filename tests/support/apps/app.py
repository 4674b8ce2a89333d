"""Predict functions of every kind. They do not use this repository.

The texts of their errors contain "private detail", which must not reach a client.
"""

import logging
import os
import time

KEPT = []
NAMES = [os.environ.get("MODElNAME"), os.environ.get("MODEL_NAME")]  # noqa: SIM112


def echo(msg):
    """Answer with the payload."""
    return {"echo": msg.payload}


def sleep(msg):
    """Sleep for the number of seconds in the payload."""
    time.sleep(msg.payload)
    return {"slept": msg.payload}


def work(msg):
    """Sleep for the number of seconds in the payload, and name the worker."""
    time.sleep(msg.payload)
    return {"pid": os.getpid()}


def names(msg):
    """Answer with the model names that were set at import, and the worker."""
    return {"names": NAMES, "pid": os.getpid()}


def count_rows(msg):
    """Answer with the number of instances."""
    return {"rows": len(msg.payload["instances"])}


def count_rows_slowly(msg):
    """Answer with the number of instances after 4 ms."""
    time.sleep(0.004)
    return count_rows(msg)


def log(msg):
    """Log a warning of two lines, as an application does."""
    logging.getLogger("mine").warning("two\nlines and %s", "more")
    return {"logged": 1}


def fail(msg):
    """Raise an error without a status."""
    raise KeyError("a private detail")


def end(msg):
    """Try to end the process."""
    raise SystemExit("a private detail")


class Away(Exception):
    """An error that has the attributes status and code."""

    status = 503
    code = "away"


def away(msg):
    """Raise an error that has a status."""
    raise Away("elsewhere")


class WrongSchemas:
    """A hook whose schemas are not those of its function."""

    ready = True
    quick_bytes = 0
    info = {}
    schema = {
        "request": {"type": "number"},
        "reply": {"properties": {"predictions": {"type": "array"}}},
    }

    def refresh(self):
        """Load nothing."""


def wrong(msg):
    """Answer differently from the hook's schema."""
    return {"predictions": "none"}


wrong.hook = WrongSchemas()


def leak_memory(msg):
    """Leak 16 KB of memory with each request."""
    KEPT.append(bytearray(16_384))
    return {"kept": len(KEPT), "pid": os.getpid()}


def leak_descriptor(msg):
    """Leak one file descriptor with each request."""
    KEPT.append(os.dup(1))
    return {"kept": len(KEPT), "pid": os.getpid()}
