"""Kill many trainers; print how many left the old file or a new file.

Usage: kill_trainers.py TIMES anytime|writing trainer|in-place, in a train container's directory.
It also prints how many left a broken file. `writing` kills a trainer when its write has begun. The
`in-place` trainer is naive: it opens the model file and writes to it. The program imports the
libraries once, and forks a process for each trainer.
"""

import json
import os
import pickle
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from runtime.message import Message
from sklearn.ensemble import RandomForestClassifier

from common_utils.train_utils import train_model
from utils.encode_decode import ModelFileError, init_model

FILE = Path("models/m.pkl")
PAYLOAD = {"$ref": "data/t.csv", "model_name": "m"}
# About the size of a random forest's model file.
LARGE_BYTES = 5_000_000
Train = Callable[[int], None]


def train_forest(seed: int) -> None:
    """Train a model that depends on the seed."""
    forest = RandomForestClassifier(n_estimators=20, n_jobs=1, random_state=seed)
    train_model(Message(payload=PAYLOAD), forest, "A test")


def in_place_trainer() -> Train:
    """Return a function that writes a large model file in place."""
    contents = init_model("m")
    contents["model"] *= LARGE_BYTES // len(contents["model"])

    def write(_: int) -> None:
        with open(FILE, "wb") as file:
            pickle.dump(contents, file)

    return write


def is_read_by_us() -> bool:
    """Return whether the model file is valid."""
    try:
        return bool(init_model("m")["modelName"] == "m")
    except ModelFileError:
        return False


def is_unpickled() -> bool:
    """Return whether the model file is a complete pickle."""
    try:
        return bool(pickle.loads(FILE.read_bytes())["modelName"] == "m")
    except (EOFError, pickle.UnpicklingError):
        return False


def start(train: Train, seed: int) -> int:
    """Start a trainer without output; return its process id."""
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        train(seed)
        os._exit(0)
    return child


def has_ended(child: int) -> bool:
    """Return whether a child process has ended, without reaping it."""
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, child, options) is not None


def wait_for_write(child: int, names: set[str], size: int) -> None:
    """Wait until models/ has another file or the model file has another size."""
    while not has_ended(child):
        if set(os.listdir("models")) - names or FILE.stat().st_size != size:
            return


def seconds_to_train(train: Train) -> float:
    """Return the time of a trainer that is not killed."""
    started = time.monotonic()
    os.waitpid(start(train, 0), 0)
    return time.monotonic() - started


def kill_one(train: Train, seed: int, seconds: float | None) -> bool:
    """Kill a trainer after some seconds, or when it writes.

    Returns whether the model file is still the old one.
    """
    names = set(os.listdir("models"))
    old = FILE.read_bytes()
    child = start(train, seed)
    if seconds is None:
        wait_for_write(child, names, len(old))
    else:
        time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return FILE.read_bytes() == old


def main() -> None:
    """Kill all trainers, then let one finish."""
    tries, moment, trainer = sys.argv[1:]
    train = train_forest
    is_complete = is_read_by_us
    if trainer == "in-place":
        train = in_place_trainer()
        is_complete = is_unpickled

    longest = seconds_to_train(train)
    source = random.Random(0)
    counts: Counter[str] = Counter()
    for seed in range(1, int(tries) + 1):
        seconds = source.uniform(0, longest) if moment == "anytime" else None
        if kill_one(train, seed, seconds):
            counts["old"] += 1
        elif is_complete():
            counts["new"] += 1
        else:
            counts["broken"] += 1
        counts["leftovers"] += len(os.listdir("models")) > 1

    train(0)
    print(json.dumps({**counts, "files": os.listdir("models")}))


if __name__ == "__main__":
    main()
