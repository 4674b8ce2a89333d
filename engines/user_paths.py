"""Print the messages of a build with the names of the user's files.

Usage: user_paths.py CONTEXT PACKAGE MODEL_DIR <MESSAGES

A build works on copies: in CONTEXT, in the folder of the local image, and in a container. This
program replaces their paths by the paths of the originals: MODEL_DIR/train.py and the like, and
utils/model.py and the like for shared code. It also drops the messages of s2i that do not matter.

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The folders of the source, of both applications and of the builder in a container.
IN_CONTAINER = ("/tmp/src", "/run/s2i-source", "/model", "/action")
BUILDERS = "/opt/builders"
# build.sh moves these files from the model directory to the top of the context.
MOVED = r"\.s2i/environment|setup\.sh|requirements(?:_train|_predict)?\.txt"
PROGRESS = "---> "
# A path does not begin within another path or a word.
START = r"(?<![\w./-])"
# s2i looks for the builder image in a registry, although the build uses the local one.
NOISE = re.compile(
    r"WARNING: could not inspect the builder image|Checking if image \".*\" is avail"
)
Rule = tuple[re.Pattern[str], str]


def rules(context: str, package: str, model: str) -> Iterator[Rule]:
    """Yield patterns of paths and their replacements, in the order of use."""
    # On macOS, /tmp is a link to /private/tmp. The folder of a local build is named after its
    # process.
    copied = rf"(?:/private)?{literal(context)}"
    unfinished = rf"{literal(str(ROOT))}/\.local/building/\d+"
    folders = "|".join([copied, unfinished, *IN_CONTAINER])

    if model == "all":
        # The combined package has a copy of each model directory.
        yield re.compile(rf"{START}(?:(?:{folders})/)?{package}/(?=\w+/)"), ""
    yield re.compile(rf"{START}(?:(?:{folders})/)?{package}/"), f"{model}/"
    yield re.compile(rf"{START}(?:(?:{folders})/|\./)?({MOVED})\b"), rf"{model}/\1"
    yield re.compile(rf"{START}(?:{folders})/"), ""
    yield re.compile(rf"{START}{BUILDERS}/"), "builders/"


def literal(path: str) -> str:
    """Return a pattern for a path, as it is or within Python's representation of it."""
    represented = path.replace("\\", "\\\\").replace("'", "\\'")
    return f"(?:{re.escape(path)}|{re.escape(represented)})"


def main(arguments: list[str]) -> int:
    """Print standard input with the user's paths and return the exit code."""
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    # After Ctrl-C, the build may still print why it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]

    replacements = list(rules(*arguments))
    for line in sys.stdin:
        if NOISE.match(line):
            continue
        # s2i writes the progress of a build to stderr too.
        if not line.startswith(PROGRESS):
            for pattern, replacement in replacements:
                line = pattern.sub(replacement, line)
        print(line, end="", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
