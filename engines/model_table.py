"""Print a table of the metrics in model files.

Usage: model_table.py FILE...

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from utils.encode_decode import ModelFileError, init_model  # noqa: E402

METRICS = ("accuracy", "auc", "log_loss")


def row(file: Path) -> str:
    """Return the line for one model file.

    Raises ModelFileError if the file is not valid.
    """
    metrics = init_model(file.stem, file.parent)["metrics"]
    columns = "".join(f"{metrics[name]:>10.4f}" for name in METRICS)
    kilobytes = file.stat().st_size / 1024
    return f"     {file.stem:<18}{columns}{kilobytes:>10.0f}"


def main(files: list[str]) -> int:
    """Print a line for each file and return the exit code: 78 if a file is invalid."""
    print("     {:<18}{:>10}{:>10}{:>10}{:>10}".format("model", *METRICS, "KB"))
    try:
        for file in files:
            print(row(Path(file)))
    except ModelFileError as error:
        print(f"model_table: {error}", file=sys.stderr)
        return 78
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
