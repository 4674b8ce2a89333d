"""Train as a container does, within a limit that the trainer sets for itself.

Usage: train_limited.py LIMIT AMOUNT [in-place]. LIMIT is none, file-size or memory (AMOUNT is in
bytes, that of memory in addition to what it has), or stranger (another user). `in-place` is the
naive trainer: it writes a million bytes to the model file.
"""

import pickle
import sys

import runtime.train
import skl2onnx  # noqa: F401 - before the limit, since importing takes memory of its own
from limits import become_stranger, limit_file_size, limit_more_memory

import logisticRegression.train  # noqa: F401

LIMITS = {
    "file-size": limit_file_size,
    "memory": limit_more_memory,
    "stranger": become_stranger,
    "none": lambda amount: None,
}


def write_in_place() -> int:
    """Write a million bytes to the model file."""
    with open("models/m.pkl", "wb") as file:
        pickle.dump(bytes(1_000_000), file)
    return 0


def main() -> int:
    """Train within the limit."""
    limit, amount, *kind = sys.argv[1:]
    LIMITS[limit](int(amount))
    return write_in_place() if kind == ["in-place"] else runtime.train.main()


if __name__ == "__main__":
    sys.exit(main())
