"""Load every model of a folder, within 4 GB; print the outcomes.

Usage: load_graphs.py FOLDER. Answers each model's golden rows. Prints the outcomes by name, "taken"
or the reason, and the peak memory in KB.
"""

import json
import sys
from pathlib import Path

from limits import limit_memory, peak_memory_kb

from utils.encode_decode import ModelFileError
from utils.serving import ServedModel


def load(name: str, folder: str) -> str:
    """Return the outcome of one model."""
    try:
        ServedModel(name, folder).refresh()
    except ModelFileError as error:
        return str(error)
    return "taken"


def main() -> None:
    """Load all models, one after the other."""
    limit_memory(4 << 30)
    folder = sys.argv[1]
    results = {path.stem: load(path.stem, folder) for path in Path(folder).glob("*.pkl")}
    print(json.dumps([results, peak_memory_kb()]))


if __name__ == "__main__":
    main()
