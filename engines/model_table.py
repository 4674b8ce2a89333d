"""Prints what model files say of themselves, as a table. Standard library only.

Usage: model_table.py FILE...
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from utils.encode_decode import ModelFileError, init_model  # noqa: E402

METRICS = ("accuracy", "auc", "log_loss")


def main(files: list[str]) -> int:
    """Prints a line for each file; returns 78 if one is not sound."""
    print("     {:<18}{:>10}{:>10}{:>10}{:>10}".format("model", *METRICS, "KB"))
    try:
        for path in map(Path, files):
            metrics = init_model(path.stem, path.parent)["metrics"]
            figures = "".join(f"{metrics[name]:>10.4f}" for name in METRICS)
            print(f"     {path.stem:<18}{figures}{path.stat().st_size / 1024:>10.0f}")
    except ModelFileError as error:
        print(f"model_table: {error}", file=sys.stderr)
        return 78
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
