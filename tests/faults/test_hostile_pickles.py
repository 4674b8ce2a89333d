"""Hostile pickles in files with a right digest: nothing runs, nothing dies, memory and time stay bounded."""

import bz2
import gzip
import hashlib
import io
import json
import pickle
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from conftest import run
from support.figures import Figure

from utils.encode_decode import MAGIC

# A child's program: reads each file NAME.pkl of a folder, prints what was said, and the most memory it took in KB.
READER = """
import json, resource, sys, time
from pathlib import Path
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from utils.encode_decode import ModelFileError, init_model
said, longest = {}, 0
for path in Path(sys.argv[1]).glob("*.pkl"):
    started = time.monotonic()
    try:
        init_model(path.stem, path.parent)
        said[path.stem] = "taken"
    except ModelFileError as error:
        said[path.stem] = str(error).removeprefix(f"{path}: ")
    longest = max(longest, time.monotonic() - started)
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([said, peak, longest]))
"""
# The naive ways: plain pickle.load, and an unpickler that allows names by the prefix of their module.
NAIVE = """
import io, pickle, resource, signal, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
signal.alarm(20)
class ByPrefix(pickle.Unpickler):
    def find_class(self, module, name):
        if module.split(".")[0] not in ("collections", "numpy", "sklearn"):
            raise pickle.UnpicklingError(module)
        return super().find_class(module, name)
kind, content = sys.argv[1], open(sys.argv[2], "rb").read()
(pickle.Unpickler if kind == "plain" else ByPrefix)(io.BytesIO(content)).load()
"""
PROTO, STOP = b"\x80\x05", b"."
KEYS = {"format": 1, "model": b"", "scaler": {}, "modelName": "m", "schema": {}, "golden": {}}


def text(value: str) -> bytes:
    """The opcode that pushes a short text."""
    return b"\x8c" + bytes([len(value)]) + value.encode()


def calls(command: str, protocol: int) -> bytes:
    """A pickle that calls os.system, as an attacker's first try is."""

    class Shell:
        def __reduce__(self) -> tuple[Any, ...]:
            import os

            return os.system, (command,)

    return pickle.dumps(Shell(), protocol)


def roads(command: str) -> dict[str, bytes]:
    """Every way by which a pickle can import a name or call it."""
    argument = text(command)
    system = text("os") + text("system") + b"\x93"
    from_memo = text("os") + b"\x940" + text("system") + b"\x940h\x00h\x01\x93"
    named = b"cos\nsystem\n"
    return {
        "global": PROTO + named + argument + b"\x85R" + STOP,
        "stack-global": PROTO + system + argument + b"\x85R" + STOP,
        "inst": b"(S'" + command.encode() + b"'\nios\nsystem\n.",
        "obj": PROTO + b"(" + named + argument + b"o" + STOP,
        "newobj": PROTO + named + argument + b"\x85\x81" + STOP,
        "newobj-ex": PROTO + named + argument + b"\x85}\x92" + STOP,
        "build": PROTO + b"cos\nsystem\n}" + text("a") + argument + b"sb" + STOP,
        "dotted": PROTO
        + text("numpy")
        + text("f2py.os.system")
        + b"\x93"
        + argument
        + b"\x85R"
        + STOP,
        "dotted-collections": PROTO + text("collections") + text("_sys.modules") + b"\x93" + STOP,
        "memo-names": PROTO + from_memo + argument + b"\x85R" + STOP,
        "builtins": PROTO + b"cbuiltins\neval\n" + text("1") + b"\x85R" + STOP,
        "in-a-key": PROTO + b"}" + named + argument + b"\x85R" + text("a") + b"s" + STOP,
        "in-golden": PROTO + b"}(" + text("golden") + named + argument + b"\x85Ru" + STOP,
        "behind-a-dict": pickle.dumps(KEYS, 5)[:-1] + b"0" + named + argument + b"\x85R" + STOP,
        **{f"protocol-{number}": calls(command, number) for number in range(6)},
        **outside(),
    }


def outside() -> dict[str, bytes]:
    """What a loader would have to bring: extension codes, persistent objects, buffers."""
    return {
        "ext1": PROTO + b"\x82\x01" + STOP,
        "ext2": PROTO + b"\x83\x01\x00" + STOP,
        "ext4": PROTO + b"\x84\x01\x00\x00\x00" + STOP,
        "persid": b"Pmodel\n.",
        "binpersid": PROTO + text("model") + b"Q" + STOP,
        "next-buffer": PROTO + b"\x97" + STOP,
        "readonly-buffer": PROTO + b"\x97\x98" + STOP,
        "bytearray8": pickle.dumps(bytearray(b"model"), 5),
    }


def bombs() -> dict[str, bytes]:
    """A few bytes that ask for much memory: by lengths, by memo places, by their shape."""
    return {
        "long1": PROTO + b"\x8a\xff" + STOP,
        "long4": PROTO + b"\x8b" + struct.pack("<i", 2**31 - 1) + STOP,
        "long4-negative": PROTO + b"\x8b" + struct.pack("<i", -1) + STOP,
        "binbytes": PROTO + b"B" + struct.pack("<I", 2**32 - 1) + STOP,
        "binbytes8": PROTO + b"\x8e" + struct.pack("<Q", 2**62) + STOP,
        "binunicode8": PROTO + b"\x8d" + struct.pack("<Q", 2**62) + STOP,
        "bytearray8-long": PROTO + b"\x96" + struct.pack("<Q", 2**62) + STOP,
        "put": PROTO + b"}p2147483647\n" + STOP,
        "binput": PROTO + b"}q\xff" + STOP,
        "long-binput": PROTO + b"}r" + struct.pack("<I", 2**29) + STOP,
        **shapes(),
    }


def shapes() -> dict[str, bytes]:
    """Doubling, depth, frames: pickles whose form asks for much."""
    doubled = b"]\x94" + b"".join(
        b"]\x94(" + b"h" + bytes([place]) + b"h" + bytes([place]) + b"e" for place in range(60)
    )
    return {
        "doubled-lists": PROTO + doubled + STOP,
        "a-list-in-itself": PROTO + b"]\x94h\x00a" + STOP,
        "dup": PROTO + b"](2" + STOP,
        "many-marks": PROTO + b"(" * 3_000_000 + STOP,
        "depth": PROTO + b"]" * 100_000 + b"a" * 99_999 + STOP,
        "depth-of-dicts": PROTO + (b"}" + text("a")) * 100_000 + b"}" + b"s" * 100_000 + STOP,
        "frame-long": PROTO + b"\x95" + struct.pack("<Q", 2**62) + b"}" + STOP,
        "frame-short": PROTO + b"\x95" + struct.pack("<Q", 1) + pickle.dumps(KEYS, 3)[2:],
        "frame-in-frame": PROTO
        + b"\x95"
        + struct.pack("<Q", 20)
        + b"\x95"
        + struct.pack("<Q", 2**40)
        + b"}"
        + STOP,
        "a-long-number": PROTO + b"I" + b"9" * 100_000 + b"\n" + STOP,
        "no-protocol-9": b"\x80\x09}" + STOP,
    }


def others() -> dict[str, bytes]:
    """Whole pickles of other kinds: containers, arrays, pickles in pickles, compressed files."""
    packed = io.BytesIO()
    joblib.dump(KEYS, packed, compress=3)
    plain = pickle.dumps(KEYS, 5)
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
        "a-key-short": pickle.dumps({key: KEYS[key] for key in list(KEYS)[1:]}, 5),
        "format-as-text": pickle.dumps({**KEYS, "format": "1"}, 5),
    }


def harmless() -> dict[str, bytes]:
    """Odd, but plain data: taken for what it is, and nothing of it runs."""
    twice = pickle.dumps(KEYS, 5)[:-1] + text("modelName") + text("other") + b"s" + STOP
    return {
        "a-key-twice": twice,
        "surrogates": pickle.dumps({**KEYS, "modelName": "\ud800"}, 5),
        "a-pickle-in-bytes": pickle.dumps({**KEYS, "model": calls("true", 5)}, 5),
        "no-frame": PROTO + pickle.dumps(KEYS, 5)[11:],
        "deep-golden": PROTO
        + pickle.dumps(KEYS, 5)[11:-1]
        + text("golden")
        + b"]" * 99_999
        + b"a" * 99_998
        + b"s"
        + STOP,
    }


def read(directory: Path, bodies: dict[str, bytes]) -> tuple[dict[str, str], int, float]:
    """What a reader in a process of its own says of bodies with right digests; its peak in KB, its longest try."""
    for name, body in bodies.items():
        (directory / f"{name}.pkl").write_bytes(body + hashlib.sha256(body).digest() + MAGIC)
    done = run(sys.executable, "-c", READER, directory, seconds=120)
    assert done.returncode == 0, done.stderr[-2000:]
    said, peak, longest = json.loads(done.stdout)
    return said, peak, longest


def naive(kind: str, directory: Path, bodies: dict[str, bytes]) -> dict[str, int]:
    """The exit codes of a naive loader on each body."""
    (directory / "naive").mkdir(exist_ok=True)
    codes = {}
    for name, body in bodies.items():
        path = directory / "naive" / name
        path.write_bytes(body)
        codes[name] = run(sys.executable, "-c", NAIVE, kind, path, seconds=60).returncode
    return codes


def test_every_road_to_a_call_is_closed(tmp_path: Path, figure: Figure) -> None:
    marker = tmp_path / "ran"
    bodies = roads(f"echo >> {marker}")
    said, _, _ = read(tmp_path, bodies)
    assert {name: words for name, words in said.items() if " is not plain data" not in words} == {}
    assert said.keys() == bodies.keys() and not marker.exists()
    naive("plain", tmp_path, bodies)
    plain = len(marker.read_text().splitlines())
    marker.unlink()
    naive("prefix", tmp_path, bodies)
    assert plain >= 10 and marker.exists()  # the dotted name gets out of the allow-list
    told = f"plain pickle.load: {plain} run; an allow-list by prefix: {len(marker.read_text().splitlines())}"
    figure(f"roads to a call, with a right digest: {len(bodies)}", "all refused, nothing run", told)


def test_bombs_and_foreign_files_are_refused_in_little_memory_and_time(
    tmp_path: Path, figure: Figure
) -> None:
    bodies = {**bombs(), **others()}
    said, peak, longest = read(tmp_path, bodies)
    assert said.keys() == bodies.keys() and "taken" not in said.values(), said
    assert peak < 400_000 and longest < 30
    codes = naive("plain", tmp_path, bombs())
    failed = sum(code != 0 for code in codes.values())
    assert codes["long-binput"] != 0 and codes["doubled-lists"] == 0
    told = f"all refused, {peak // 1000} MB and {longest:.1f} s at most"
    figure(
        f"bombs and foreign files, with a right digest: {len(bodies)}",
        told,
        f"plain: {failed} of {len(codes)} fail",
    )


def test_odd_but_plain_data_is_taken_and_runs_nothing(tmp_path: Path) -> None:
    said, _, _ = read(tmp_path, harmless())
    assert said == dict.fromkeys(harmless(), "taken")
