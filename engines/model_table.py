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
HEADING = "     {:<18}{:>10}{:>10}{:>10}{:>10}".format("model", *METRICS, "KB")


def line(name: str, text: str) -> str:
    """Return a line of the table: a model's name, then `text`."""
    return f"     {name:<18}{text}"


def columns(file: Path) -> str:
    """Return the metrics and the size of a model file.

    Raises ModelFileError if the file is not valid.
    """
    metrics = init_model(file.stem, file.parent).get("metrics", {})
    texts = [f"{metrics[name]:.4f}" if name in metrics else "-" for name in METRICS]
    texts.append(f"{file.stat().st_size / 1024:.0f}")
    return "".join(f"{text:>10}" for text in texts)


def main(files: list[str]) -> int:
    """Print a line for each file and return the exit code: 78 if a file is invalid."""
    print(HEADING)
    try:
        for file in files:
            print(line(Path(file).stem, columns(Path(file))))
    except ModelFileError as error:
        print(f"model_table: {error}", file=sys.stderr)
        return 78
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
