"""Flip a bit of a model file, many times, and load it without its digest.

Usage: flip_without_digest.py FILE TIMES. Each try is a separate process, because some
of them crash.
Prints how many files were accepted, refused, or killed their process.
"""

import json
import os
import pickle
import random
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import NoReturn

from flip_bits import with_flipped_bit
from limits import limit_memory

from utils.serving import Model


def load(content: bytes) -> NoReturn:
    """Load a file with only pickle and ONNX Runtime; exit with 0 on success."""
    limit_memory(4 << 30)
    signal.alarm(20)
    try:
        contents = pickle.loads(content)
        model = Model(contents, ignore_unknown=True)
        model.predict(contents["golden"]["instances"])
    except Exception:
        os._exit(1)
    os._exit(0)


def outcome(content: bytes) -> str:
    """Load a file in a child process and return the outcome."""
    child = os.fork()
    if not child:
        load(content)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return "killed"
    return "refused" if code else "accepted"


def main() -> None:
    """Try many bits."""
    content = Path(sys.argv[1]).read_bytes()
    source = random.Random(0)
    tries = range(int(sys.argv[2]))
    print(json.dumps(Counter(outcome(with_flipped_bit(content, source)) for _ in tries)))


if __name__ == "__main__":
    main()
