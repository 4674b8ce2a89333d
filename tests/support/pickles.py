"""Hostile pickles, each kind a dictionary of contents by name; none is loaded.

This module defines KEYS (the contents of a minimal model file), calls (of a command, by every
opcode), bombs, foreign_files, harmless_files.
"""

import bz2
import gzip
import io
import os
import pickle
import struct
import zlib
from typing import Any

import joblib
import numpy as np

PROTOCOL = b"\x80\x05"
STOP = b"."
CALL_WITH_ONE_ARGUMENT = b"\x85R"
OS_SYSTEM = b"cos\nsystem\n"
KEYS = {"format": 1, "model": b"", "scaler": {}, "modelName": "m", "schema": {}, "golden": {}}


def text(value: str) -> bytes:
    """Return the opcode that pushes a short text."""
    return b"\x8c" + bytes([len(value)]) + value.encode()


def frame(length: int) -> bytes:
    """Return the opcode that begins a frame of this length."""
    return b"\x95" + struct.pack("<Q", length)


def call_by_reduce(command: str, protocol: int) -> bytes:
    """Return a pickle that calls os.system, as an attacker's first attempt does."""

    class Shell:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (command,)

    return pickle.dumps(Shell(), protocol)


def calls(command: str) -> dict[str, bytes]:
    """Return pickles that import or call a name, one for each opcode that can."""
    argument = text(command)
    call = argument + CALL_WITH_ONE_ARGUMENT
    system = text("os") + text("system") + b"\x93"
    from_memo = text("os") + b"\x940" + text("system") + b"\x940h\x00h\x01\x93"
    dotted = text("numpy") + text("f2py.os.system") + b"\x93"
    dotted_collections = text("collections") + text("_sys.modules") + b"\x93"
    by_protocol = {f"protocol-{number}": call_by_reduce(command, number) for number in range(6)}
    return {
        "global": PROTOCOL + OS_SYSTEM + call + STOP,
        "stack-global": PROTOCOL + system + call + STOP,
        "inst": b"(S'" + command.encode() + b"'\nios\nsystem\n.",
        "obj": PROTOCOL + b"(" + OS_SYSTEM + argument + b"o" + STOP,
        "newobj": PROTOCOL + OS_SYSTEM + argument + b"\x85\x81" + STOP,
        "newobj-ex": PROTOCOL + OS_SYSTEM + argument + b"\x85}\x92" + STOP,
        "build": PROTOCOL + OS_SYSTEM + b"}" + text("a") + argument + b"sb" + STOP,
        "dotted": PROTOCOL + dotted + call + STOP,
        "dotted-collections": PROTOCOL + dotted_collections + STOP,
        "memo-names": PROTOCOL + from_memo + call + STOP,
        "builtins": PROTOCOL + b"cbuiltins\neval\n" + text("1") + CALL_WITH_ONE_ARGUMENT + STOP,
        "in-a-key": PROTOCOL + b"}" + OS_SYSTEM + call + text("a") + b"s" + STOP,
        "in-golden": PROTOCOL + b"}(" + text("golden") + OS_SYSTEM + call + b"u" + STOP,
        "behind-a-dict": pickle.dumps(KEYS, 5)[:-1] + b"0" + OS_SYSTEM + call + STOP,
        **by_protocol,
        **references_to_the_loader(),
    }


def references_to_the_loader() -> dict[str, bytes]:
    """Return pickles that ask the loader for extensions, objects or buffers."""
    return {
        "ext1": PROTOCOL + b"\x82\x01" + STOP,
        "ext2": PROTOCOL + b"\x83\x01\x00" + STOP,
        "ext4": PROTOCOL + b"\x84\x01\x00\x00\x00" + STOP,
        "persid": b"Pmodel\n.",
        "binpersid": PROTOCOL + text("model") + b"Q" + STOP,
        "next-buffer": PROTOCOL + b"\x97" + STOP,
        "readonly-buffer": PROTOCOL + b"\x97\x98" + STOP,
        "bytearray8": pickle.dumps(bytearray(b"model"), 5),
    }


def bombs() -> dict[str, bytes]:
    """Return small pickles that ask for much memory, by lengths or by their form."""
    return {
        "long1": PROTOCOL + b"\x8a\xff" + STOP,
        "long4": PROTOCOL + b"\x8b" + struct.pack("<i", 2**31 - 1) + STOP,
        "long4-negative": PROTOCOL + b"\x8b" + struct.pack("<i", -1) + STOP,
        "binbytes": PROTOCOL + b"B" + struct.pack("<I", 2**32 - 1) + STOP,
        "binbytes8": PROTOCOL + b"\x8e" + struct.pack("<Q", 2**62) + STOP,
        "binunicode8": PROTOCOL + b"\x8d" + struct.pack("<Q", 2**62) + STOP,
        "bytearray8-long": PROTOCOL + b"\x96" + struct.pack("<Q", 2**62) + STOP,
        "put": PROTOCOL + b"}p2147483647\n" + STOP,
        "binput": PROTOCOL + b"}q\xff" + STOP,
        "long-binput": PROTOCOL + b"}r" + struct.pack("<I", 2**29) + STOP,
        **bombs_by_form(),
    }


def doubled_lists() -> bytes:
    """Return opcodes for 60 lists, each of which holds the one before it twice."""
    doubled = b"]\x94"
    for place in range(60):
        get = b"h" + bytes([place])
        doubled += b"]\x94(" + get + get + b"e"
    return doubled


def bombs_by_form() -> dict[str, bytes]:
    """Return pickles whose doubling, depth or frames ask for much memory."""
    nested_dicts = (b"}" + text("a")) * 100_000 + b"}" + b"s" * 100_000
    return {
        "doubled-lists": PROTOCOL + doubled_lists() + STOP,
        "a-list-in-itself": PROTOCOL + b"]\x94h\x00a" + STOP,
        "dup": PROTOCOL + b"](2" + STOP,
        "many-marks": PROTOCOL + b"(" * 3_000_000 + STOP,
        "depth": PROTOCOL + b"]" * 100_000 + b"a" * 99_999 + STOP,
        "depth-of-dicts": PROTOCOL + nested_dicts + STOP,
        "frame-long": PROTOCOL + frame(2**62) + b"}" + STOP,
        "frame-short": PROTOCOL + frame(1) + pickle.dumps(KEYS, 3)[2:],
        "frame-in-frame": PROTOCOL + frame(20) + frame(2**40) + b"}" + STOP,
        "a-long-number": PROTOCOL + b"I" + b"9" * 100_000 + b"\n" + STOP,
        "no-protocol-9": b"\x80\x09}" + STOP,
    }


def foreign_files() -> dict[str, bytes]:
    """Return files that are not model files: other types, compressed files, text."""
    packed = io.BytesIO()
    joblib.dump(KEYS, packed, compress=3)
    plain = pickle.dumps(KEYS, 5)
    without_first_key = {key: KEYS[key] for key in list(KEYS)[1:]}
    return {
        "a-set": pickle.dumps({**KEYS, "golden": {1, 2}}, 5),
        "a-frozenset": pickle.dumps({**KEYS, "golden": frozenset([1])}, 5),
        "a-tuple": pickle.dumps({**KEYS, "golden": (1, 2)}, 5),
        "a-complex": pickle.dumps({**KEYS, "golden": 1j}, 5),
        "an-array": pickle.dumps({**KEYS, "golden": np.arange(5)}, 5),
        "two-pickles": plain + plain,
        "gzip": gzip.compress(plain),
        "zlib": zlib.compress(plain),
        "bz2": bz2.compress(plain),
        "joblib": packed.getvalue(),
        "text": b"model",
        "no-keys": pickle.dumps({}, 5),
        "a-key-short": pickle.dumps(without_first_key, 5),
        "format-as-text": pickle.dumps({**KEYS, "format": "1"}, 5),
    }


def harmless_files() -> dict[str, bytes]:
    """Return unusual files of plain data, which are read without running code."""
    plain = pickle.dumps(KEYS, 5)
    without_frame = plain[11:]
    key_twice = plain[:-1] + text("modelName") + text("other") + b"s" + STOP
    deep = text("golden") + b"]" * 99_999 + b"a" * 99_998 + b"s"
    return {
        "a-key-twice": key_twice,
        "surrogates": pickle.dumps({**KEYS, "modelName": "\ud800"}, 5),
        "a-pickle-in-bytes": pickle.dumps({**KEYS, "model": call_by_reduce("true", 5)}, 5),
        "no-frame": PROTOCOL + without_frame,
        "deep-golden": PROTOCOL + without_frame[:-1] + deep + STOP,
    }
