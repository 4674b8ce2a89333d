"""Read every model file of a folder, within 1 GB; print the outcomes.

Usage: read_models.py FOLDER. An outcome is "taken", or the reason why the file was refused. Prints
the peak memory in KB and the longest time in seconds too.
"""

import json
import sys
import time
from pathlib import Path

from limits import limit_memory, peak_memory_kb

from utils.encode_decode import ModelFileError, init_model


def read(path: Path) -> str:
    """Return the outcome of one model file."""
    try:
        init_model(path.stem, path.parent)
    except ModelFileError as error:
        return str(error).removeprefix(f"{path}: ")
    return "taken"


def main() -> None:
    """Read all files, one after the other."""
    limit_memory(1 << 30)
    results = {}
    longest = 0.0
    for path in Path(sys.argv[1]).glob("*.pkl"):
        started = time.monotonic()
        results[path.stem] = read(path)
        longest = max(longest, time.monotonic() - started)
    print(json.dumps([results, peak_memory_kb(), longest]))


if __name__ == "__main__":
    main()
