"""Find what loading a pickle would import, and rows of data in it.

The pickle is only read. picklescan finds the imports.
"""

from __future__ import annotations

import io
import logging
import pickletools
import zlib
from dataclasses import dataclass, field

from picklescan.scanner import scan_pickle_bytes

# This limits the bytes after unpacking, because a short file can unpack to any size.
MAX_UNPACKED = 1 << 28
LARGE = 64 * 1024
# In these attributes, estimators of scikit-learn keep rows of the training data.
ROW_ATTRIBUTES = {
    "_fit_X",
    "_X_train",
    "X_train_",
    "_tree_data",
    "support_vectors_",
    "embedding_",
    "_y_train",
}
TABLES = ("pandas.", "polars.", "pyarrow.")
# These opcodes get an object from the program that loads the pickle. picklescan ignores them.
REFERENCES = {
    "EXT1": "(an extension code)",
    "EXT2": "(an extension code)",
    "EXT4": "(an extension code)",
    "PERSID": "(a persistent id)",
    "BINPERSID": "(a persistent id)",
    "NEXT_BUFFER": "(a buffer of the program that loads the pickle)",
}
# picklescan fails if an import has no name on the stack.
UNKNOWN = "(an unknown name)"
# The first bytes of gzip files and of zlib files at each level of compression.
COMPRESSED = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
# With this value, zlib reads both formats.
GZIP_OR_ZLIB = 47


@dataclass
class Findings:
    """What the pickles of a file contain.

    `names` are the names that loading would import. `attributes` are those of ROW_ATTRIBUTES that
    occur. `blocks` are the sizes of byte strings. `count` is the number of pickles. `problem` is
    the reason if a pickle can't be read to its end, or else empty.
    """

    names: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    blocks: list[int] = field(default_factory=list)
    count: int = 0
    problem: str = ""

    def describe_rows(self) -> str:
        """Return whether the pickles contain rows of data, and the evidence."""
        tables = sorted(name for name in self.names if name.startswith(TABLES))
        if tables or self.attributes:
            return f"yes, by {', '.join([*tables[:3], *sorted(self.attributes)])}"

        large = [size for size in self.blocks if size >= LARGE]
        if large:
            blocks = f"{len(large)} arrays or byte strings of {LARGE:,} bytes and more"
            return f"maybe: {blocks}, up to {max(large):,}"

        return (
            "no table of pandas, no attribute that keeps training rows, "
            f"no byte string of {LARGE:,} bytes or more"
        )


def unpack(content: bytes) -> bytes:
    """Return the unpacked content of a gzip or zlib file, such as joblib's.

    Any other content is returned unchanged.
    Raises ValueError if the file is damaged or unpacks to more than MAX_UNPACKED bytes.
    """
    if not content.startswith(COMPRESSED):
        return content

    unpacker = zlib.decompressobj(wbits=GZIP_OR_ZLIB)
    try:
        unpacked = unpacker.decompress(content, MAX_UNPACKED)
    except zlib.error as error:
        raise ValueError(f"can't be unpacked ({error})") from error

    if not unpacker.eof:
        raise ValueError(f"is truncated, or unpacks to more than {MAX_UNPACKED:,} bytes")
    return unpacked


def read_pickles(content: bytes) -> Findings:
    """Return the findings about all pickles in `content`, which follow each other."""
    findings = Findings()
    stream = io.BytesIO(content)
    start = 0
    while start < len(content) and not findings.problem:
        # picklescan could read all pickles at once, but then it confuses their memos.
        stream.seek(start)
        findings.names |= _imported_names(stream)
        stream.seek(start)
        start = _read_opcodes(stream, findings)
        findings.count += 1
    return findings


def _read_opcodes(stream: io.BytesIO, findings: Findings) -> int:
    """Add the findings in the next pickle, except for its imports; return its end."""
    end = 0
    try:
        for opcode, argument, position in pickletools.genops(stream):
            # The last opcode has one byte.
            end = (position or 0) + 1
            if opcode.name in REFERENCES:
                findings.names.add(REFERENCES[opcode.name])
            elif isinstance(argument, (bytes, bytearray)):
                findings.blocks.append(len(argument))
            elif argument in ROW_ATTRIBUTES:
                findings.attributes.add(argument)
    # For damaged files, pickletools raises many types of exceptions.
    except Exception as error:
        reason = str(error)[:100]
        findings.problem = f"can't be read beyond byte {end:,} ({reason})"
    return end


def _imported_names(stream: io.BytesIO) -> set[str]:
    """Return the names that picklescan finds in the next pickle."""
    # picklescan logs its findings, which the caller prints, and its verdict, which is not used.
    logging.getLogger("picklescan").setLevel(logging.CRITICAL)
    try:
        result = scan_pickle_bytes(stream, "", multiple_pickles=False)
    except ValueError:
        return {UNKNOWN}
    return {f"{found.module}.{found.name}" for found in result.globals}
