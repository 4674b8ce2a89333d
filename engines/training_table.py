"""Print the results of training several models as a table.

Usage: training_table.py RESULTS MODEL_DIR...

The folder RESULTS has the files that engines/train-one.sh writes for each model. The program runs
in the repository's root. This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from model_names import makefile_value  # noqa: E402
from model_table import HEADING, columns, line  # noqa: E402

from utils.errors import ModelFileError  # noqa: E402

REASON_CHARACTERS = 160
# The programs that name the cause of a failure. s2i and make print more lines after it.
CAUSE = re.compile(r"(assemble|check|environment|train|[\w-]+\.sh): ")
CONSEQUENCE = re.compile(
    r"docker-build\.sh: |\S*make(\[\d+\])?: |.*: recipe for target |Build failed|ERROR: An error "
)


def model_name(directory: str) -> str:
    """Return the MODEL_NAME in the directory's Makefile, or else the directory's name."""
    return makefile_value(directory, "MODEL_NAME") or directory


def reason(errors: str) -> str:
    """Return the line of a failed command's stderr that names the cause."""
    lines = [text.strip() for text in errors.splitlines() if text.strip()]
    own = [text for text in lines if not CONSEQUENCE.match(text)]
    causes = [text for text in own if CAUSE.match(text)]
    for candidates in (causes, own, lines):
        if candidates:
            return truncate(candidates[-1])
    return "no message"


def truncate(text: str) -> str:
    """Return a text of at most REASON_CHARACTERS."""
    if len(text) <= REASON_CHARACTERS:
        return text
    return f"{text[: REASON_CHARACTERS - 3]}..."


def problem(results: Path, directory: str) -> str | None:
    """Return why a model was not trained, or None if it was."""
    errors = results / f"{directory}.errors"
    exit_code = results / f"{directory}.code"
    if not Path(directory, "train.py").exists():
        return "not tried: it has no train.py"
    if not errors.exists():
        return "not tried"
    if not exit_code.exists():
        return "interrupted"
    if exit_code.read_text().strip() != "0":
        return f"failed: {reason(errors.read_text(errors='replace'))}"
    return None


def result(results: Path, directory: str) -> str:
    """Return a model's metrics in columns, or the reason why it has none."""
    found = problem(results, directory)
    if found:
        return f"  {found}"
    try:
        return columns(Path("models", f"{model_name(directory)}.pkl"))
    except ModelFileError as error:
        return f"  trained, without metrics: {truncate(str(error))}"


def main(results: str, directories: list[str]) -> None:
    """Print a line for each model."""
    print(HEADING)
    for directory in directories:
        print(line(model_name(directory), result(Path(results), directory)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
