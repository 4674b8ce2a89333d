"""Check that texts, comments and names use standard terms.

Usage: check_words.py FILE...     exit code 1 if a file contains a word of WORDS

Readers are engineers all over the world, and most are not native speakers. For each word in WORDS
there is a standard term. ALLOWED are phrases in which such a word is the standard term.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

# The keys are patterns. The values are the terms to write instead.
WORDS = {
    r"tell|tells|telling|told": "print, report, show or log",
    r"roads?": "path or method",
    r"mends?|mended|mending": "fix",
    r"sound|unsound": "valid",
    r"spoil|spoils|spoilt|spoiled": "corrupt",
    r"whole": "complete",
    r"beside": "next to, compared with or in addition to",
    r"anew": "again, or regenerate",
    r"to be had|can't be had": "available, or not available",
    r"otherwise than|else than": "differently from, or other than",
    r"is none of": "is not one of",
    r"dead worker|dead one": "crashed worker",
    r"said|noted": "output, report or message",
    r"nearly": "closest, or almost",
    r"bill of materials|bills?": "SBOM",
}
ALLOWED = ("whole number", "whole_number", "whole seconds")
# Files that quote the words, or that other programs write.
EXEMPT = {"tools/check_words.py", "tests/tools/test_check_words.py"}
GENERATED = (".csv", ".sum", "constraints.txt", "LICENSE")
PATTERNS = {
    re.compile(rf"(?<![A-Za-z])(?:{pattern})(?![A-Za-z])", re.IGNORECASE): advice
    for pattern, advice in WORDS.items()
}


def findings(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line number, word and advice for each listed word in `text`."""
    for number, line in enumerate(text.splitlines(), 1):
        for phrase in ALLOWED:
            line = re.sub(phrase, "", line, flags=re.IGNORECASE)
        for pattern, advice in PATTERNS.items():
            for match in pattern.finditer(line):
                yield number, match.group(), advice


def main(names: list[str]) -> int:
    """Print the findings of all files and return the exit code."""
    if not names:
        print(__doc__, file=sys.stderr)
        return 2

    found = False
    for name in names:
        if name in EXEMPT or name.endswith(GENERATED):
            continue
        text = Path(name).read_text(errors="replace")
        for number, word, advice in findings(text):
            found = True
            print(f"{name}:{number}: {word!r}: write {advice}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
