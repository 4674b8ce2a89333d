"""Truncate a model file to many lengths; print the counts of outcomes.

Usage: truncate_model.py FILE STEP [uncut]. Tries every STEPth length, and each of the last 500.
`uncut` cuts nothing. It also counts the opcodes that were read.
"""

import json
import pickletools
import sys
from collections import Counter
from pathlib import Path

from utils.encode_decode import ModelFileError, verified_body

LAST = 500


def main() -> None:
    """Try all lengths."""
    opcodes: list[bytes] = []
    pickletools.genops = opcodes.append  # type: ignore[assignment]

    path = Path(sys.argv[1])
    step = int(sys.argv[2])
    cuts = sys.argv[3:] != ["uncut"]
    content = path.read_bytes()
    lengths = set(range(0, len(content), step))
    lengths |= set(range(max(0, len(content) - LAST), len(content)))

    counts: Counter[str] = Counter()
    for length in lengths:
        tried = content[:length] if cuts else content
        try:
            verified_body(tried, path)
            counts["accepted"] += 1
        except ModelFileError:
            counts["refused"] += 1
    print(json.dumps({**counts, "tried": len(lengths), "opcodes": len(opcodes)}))


if __name__ == "__main__":
    main()
