"""What a pickle would do if it were loaded, told from its opcodes alone: nothing of it is run."""

from __future__ import annotations

import pickletools
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

# Bytes after unpacking; a short file can unpack to any size.
MAX_UNPACKED = 1 << 28
LARGE = 64 * 1024
# Where scikit-learn's estimators keep the rows they were fitted on.
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
MARK = object()


@dataclass
class Found:
    """Names that loading would import with their counts, texts, sizes of byte strings, where and why the walk ended."""

    names: Counter[str] = field(default_factory=Counter)
    texts: set[str] = field(default_factory=set)
    blocks: list[int] = field(default_factory=list)
    end: int = 0
    problem: str = ""

    def rows(self) -> str:
        """Whether it carries rows of data, and by what that is judged."""
        tables = sorted(name for name in self.names if name.startswith(TABLES))
        kept = sorted(self.texts & ROW_ATTRIBUTES)
        large = [size for size in self.blocks if size >= LARGE]
        if tables or kept:
            return f"yes, by {', '.join([*tables[:3], *kept])}"
        if large:
            return f"maybe: {len(large)} arrays or byte strings of {LARGE:,} bytes and more, up to {max(large):,}"
        return f"no table of pandas, no attribute that keeps training rows, no byte string of {LARGE:,} bytes or more"


def unpacked(content: bytes) -> bytes:
    """`content`, or what a gzip or zlib file such as joblib's holds; raises ValueError if that is too much."""
    if not content.startswith((b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")):
        return content
    unpacker = zlib.decompressobj(wbits=47)  # 47: gzip or zlib, whichever it is
    try:
        inner = unpacker.decompress(content, MAX_UNPACKED)
    except zlib.error as error:
        raise ValueError(f"can't be unpacked ({error})") from error
    if not unpacker.eof:
        raise ValueError(f"is cut short, or unpacks to more than {MAX_UNPACKED:,} bytes")
    return inner


def walk(content: bytes) -> Found:
    """What the first pickle in `content` would import and carries; its `problem` is empty if it was read to its end."""
    found = Found()
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    try:
        for opcode, argument, position in pickletools.genops(content):
            found.end = (position or 0) + 1
            _note(found, opcode.name, argument, stack)
            _step(opcode, argument, stack, memo)
    except Exception as error:  # a damaged file makes pickletools raise many kinds
        found.problem = f"can't be read beyond byte {found.end:,} ({error})"
    return found


def _note(found: Found, name: str, argument: Any, stack: list[Any]) -> None:
    """Takes down what one opcode imports or carries; `stack` is as it is before the opcode."""
    if name in ("GLOBAL", "INST"):
        found.names[argument.replace(" ", ".", 1)] += 1
    elif name == "STACK_GLOBAL":
        parts = stack[-2:]
        known = len(parts) == 2 and all(isinstance(part, str) for part in parts)
        found.names[".".join(parts) if known else "(a name made while loading)"] += 1
    elif name.startswith("EXT"):
        found.names[f"(extension code {argument})"] += 1
    elif name.endswith("PERSID"):
        found.names["(a persistent id, which the loader resolves)"] += 1
    elif name == "NEXT_BUFFER":
        found.names["(a buffer that the loader brings)"] += 1
    elif isinstance(argument, (bytes, bytearray)):
        found.blocks.append(len(argument))
    elif name in TEXTS:
        found.texts.add(argument)


def _step(
    opcode: pickletools.OpcodeInfo, argument: Any, stack: list[Any], memo: dict[Any, Any]
) -> None:
    """Does to the stack and the memo what an unpickler would, with None for every value but texts."""
    top = stack[-1] if stack else None
    if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
        memo[len(memo) if argument is None else int(argument)] = top
        return
    popped = opcode.stack_before
    if pickletools.markobject in popped:
        while stack and stack.pop() is not MARK:
            pass
        popped = popped[: popped.index(pickletools.markobject)]
    del stack[max(0, len(stack) - len(popped)) :]
    if opcode.name in TEXTS:
        stack.append(argument)
    elif opcode.name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(memo.get(int(argument)))
    elif opcode.name == "DUP":
        stack.extend([top, top])
    else:
        stack.extend(
            MARK if after is pickletools.markobject else None for after in opcode.stack_after
        )
