"""Keep stdout for the answer of predict-once."""

import os
import sys
from typing import BinaryIO


def take_stdout() -> BinaryIO:
    """Return the process's stdout; redirect all other output from stdout to stderr.

    That also applies to libraries in C and to child processes.
    """
    sys.stdout.flush()
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answer
