"""Flip a bit of a model file, many times; print the counts of outcomes.

Usage: flip_bits.py FILE TIMES FOLDER, where FOLDER gets the changed files. It also counts the
opcodes that were read.
"""

import json
import pickletools
import random
import sys
from collections import Counter
from pathlib import Path

from utils.encode_decode import ModelFileError, init_model


def with_flipped_bit(content: bytes, source: random.Random) -> bytes:
    """Return a file in which one random bit is different."""
    flipped = bytearray(content)
    flipped[source.randrange(len(content))] ^= 1 << source.randrange(8)
    return bytes(flipped)


def main() -> None:
    """Try many bits."""
    opcodes: list[bytes] = []
    pickletools.genops = opcodes.append  # type: ignore[assignment]

    path = Path(sys.argv[1])
    folder = Path(sys.argv[3])
    content = path.read_bytes()
    source = random.Random(0)
    counts: Counter[str] = Counter()
    for _ in range(int(sys.argv[2])):
        (folder / path.name).write_bytes(with_flipped_bit(content, source))
        try:
            init_model(path.stem, folder)
            counts["accepted"] += 1
        except ModelFileError:
            counts["refused"] += 1
    print(json.dumps({**counts, "opcodes": len(opcodes)}))


if __name__ == "__main__":
    main()
