"""Find the names that loading a pickle would import.

This module only reads the opcodes of the pickle and does not load it.
"""

from __future__ import annotations

import pickletools
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

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
TEXTS = (
    "UNICODE",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINUNICODE8",
    "STRING",
    "BINSTRING",
    "SHORT_BINSTRING",
)
MEMO_WRITES = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
MEMO_READS = ("GET", "BINGET", "LONG_BINGET")
# The first bytes of gzip files and of zlib files at each level of compression.
COMPRESSED = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
# With this value, zlib reads both formats.
GZIP_OR_ZLIB = 47
# This object represents a mark on the stack.
MARK = object()


@dataclass
class Findings:
    """The result of a walk over a pickle.

    `names` are the names that loading would import, with counts. `texts` are the texts of the
    pickle. `blocks` are the sizes of byte strings. `end` is the byte at which the walk ended.
    `problem` is the reason if it ended early, or else empty.
    """

    names: Counter[str] = field(default_factory=Counter)
    texts: set[str] = field(default_factory=set)
    blocks: list[int] = field(default_factory=list)
    end: int = 0
    problem: str = ""

    def describe_rows(self) -> str:
        """Return whether the pickle contains rows of data, and the evidence."""
        tables = sorted(name for name in self.names if name.startswith(TABLES))
        attributes = sorted(self.texts & ROW_ATTRIBUTES)
        if tables or attributes:
            return f"yes, by {', '.join([*tables[:3], *attributes])}"

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
        raise ValueError(f"is cut short, or unpacks to more than {MAX_UNPACKED:,} bytes")
    return unpacked


def walk(content: bytes) -> Findings:
    """Return the imports, texts and byte strings of the first pickle in `content`."""
    findings = Findings()
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    try:
        for opcode, argument, position in pickletools.genops(content):
            findings.end = (position or 0) + 1
            _record(findings, opcode.name, argument, stack)
            _step(opcode, argument, stack, memo)
    # For damaged files, pickletools raises many types of exceptions.
    except Exception as error:
        findings.problem = f"can't be read beyond byte {findings.end:,} ({error})"
    return findings


def _record(findings: Findings, opcode: str, argument: Any, stack: list[Any]) -> None:
    """Record the import, text or byte string of one opcode.

    `stack` is the stack before the opcode.
    """
    name = _imported_name(opcode, argument, stack)
    if name:
        findings.names[name] += 1
    elif isinstance(argument, (bytes, bytearray)):
        findings.blocks.append(len(argument))
    elif opcode in TEXTS:
        findings.texts.add(argument)


def _imported_name(opcode: str, argument: Any, stack: list[Any]) -> str:
    """Return the name that one opcode imports or gets from the loader.

    The result is empty if the opcode does neither.
    """
    if opcode in ("GLOBAL", "INST"):
        return str(argument).replace(" ", ".", 1)
    if opcode == "STACK_GLOBAL":
        return _name_on_stack(stack)
    if opcode.startswith("EXT"):
        return f"(extension code {argument})"
    if opcode.endswith("PERSID"):
        return "(a persistent id, which the loader resolves)"
    if opcode == "NEXT_BUFFER":
        return "(a buffer that the loader brings)"
    return ""


def _name_on_stack(stack: list[Any]) -> str:
    """Return the name whose module and attribute are the two top items of the stack."""
    parts = stack[-2:]
    if len(parts) == 2 and all(isinstance(part, str) for part in parts):
        return ".".join(parts)
    return "(a name made while loading)"


def _step(
    opcode: pickletools.OpcodeInfo, argument: Any, stack: list[Any], memo: dict[Any, Any]
) -> None:
    """Change the stack and the memo as an unpickler does.

    Values that are not texts are represented by None.
    """
    top = stack[-1] if stack else None
    if opcode.name in MEMO_WRITES:
        # MEMOIZE has no argument and uses the next free number.
        memo[len(memo) if argument is None else int(argument)] = top
        return

    _pop(opcode, stack)

    if opcode.name in TEXTS:
        stack.append(argument)
    elif opcode.name in MEMO_READS:
        stack.append(memo.get(int(argument)))
    elif opcode.name == "DUP":
        stack.extend([top, top])
    else:
        for kind in opcode.stack_after:
            stack.append(MARK if kind is pickletools.markobject else None)


def _pop(opcode: pickletools.OpcodeInfo, stack: list[Any]) -> None:
    """Remove the arguments of one opcode from the stack."""
    taken = opcode.stack_before
    if pickletools.markobject in taken:
        while stack and stack.pop() is not MARK:
            pass
        taken = taken[: taken.index(pickletools.markobject)]
    del stack[max(0, len(stack) - len(taken)) :]
