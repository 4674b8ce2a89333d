"""Test that a written model file is read back, and no other file is."""

import hashlib
import os
import pickle
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.commands import ROOT, run
from support.models import seal
from support.pickles import call_by_reduce, calls

from utils.encode_decode import MAGIC, MAX_BYTES, TRAILER_BYTES, init_model, pickle_model
from utils.errors import ModelFileError

CONTENTS: dict[str, Any] = {
    "modelName": "m",
    "model": bytes(range(256)) * 40,
    "scaler": {
        "columns": [
            {"name": "age", "edges": [1.5, -0.0, 2e300]},
            {"name": "é", "categories": ["a", "\ud800"]},
        ]
    },
    "schema": {"classes": [0, 1]},
    "golden": {"instances": [[1, "a", None, True, 2**200, -1]], "scores": [[0.25, 0.75]]},
}
AGAIN = "Train the model again."
NOT_OURS = (
    "is not a model file of this repository (its end is missing or has another form). "
    "Train it with `make train`, or load a pickle of your own in your own predict.py."
)
DAMAGED = f"its sha256 does not match its contents: the file is corrupt. {AGAIN}"
# The program of a child process. It is killed, as by kill -9, when its file has 5,000 bytes.
KILLED_WRITER = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
"""
WRITE_MODEL = """
from utils.encode_decode import pickle_model
contents = {"modelName": "m", "scaler": {}, "schema": {}, "golden": {}, "model": bytes(10_000)}
pickle_model(contents, sys.argv[1])
"""
WRITE_IN_PLACE = """
import pickle
pickle.dump(bytes(10_000), open(sys.argv[1] + "/m.pkl", "wb"))
"""


def rejection(directory: Path, name: str = "m") -> str:
    """Return the reason why the model file is rejected, without the path."""
    with pytest.raises(ModelFileError) as caught:
        init_model(name, directory)
    return str(caught.value).removeprefix(f"{directory}/{name}.pkl: ")


def rejection_of(directory: Path, content: bytes) -> str:
    """Return the reason why a file with this content is rejected."""
    (directory / "m.pkl").write_bytes(content)
    return rejection(directory)


def test_a_written_model_is_read_back(tmp_path: Path) -> None:
    path = pickle_model(CONTENTS, tmp_path)
    content = path.read_bytes()
    digest = content[-TRAILER_BYTES : -len(MAGIC)]
    assert path == tmp_path / "m.pkl"
    assert hashlib.sha256(content[:-TRAILER_BYTES]).digest() == digest
    assert init_model("m", tmp_path) == {"format": 1, **CONTENTS, "digest": digest.hex()}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None)
@given(JSON, st.binary())
def test_any_json_and_any_bytes_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, value: Any, model: bytes
) -> None:
    directory = tmp_path_factory.getbasetemp()
    pickle_model({**CONTENTS, "metrics": value, "model": model}, directory)
    found = init_model("m", directory)
    assert (found["metrics"], found["model"]) == (value, model)


def test_pickle_load_reads_the_body_and_ignores_the_trailer(tmp_path: Path) -> None:
    with open(pickle_model(CONTENTS, tmp_path), "rb") as file:
        assert pickle.load(file) == {"format": 1, **CONTENTS}


def test_equal_contents_give_equal_bytes_whether_or_not_objects_are_shared(tmp_path: Path) -> None:
    text = "a category"
    other = "".join(["a ", "category"])
    shared = {**CONTENTS, "metrics": [text, text]}
    apart = {"metrics": [text, other], **dict(reversed(CONTENTS.items()))}
    assert shared == apart
    assert pickle.dumps(shared) != pickle.dumps(apart), "the control: what pickle alone would write"

    first = pickle_model(shared, tmp_path).read_bytes()
    assert pickle_model(apart, tmp_path).read_bytes() == first
    assert pickle_model({**shared, "metrics": [text]}, tmp_path).read_bytes() != first


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        ({1}, TypeError),
        (b"bytes", TypeError),
    ],
    ids=["nan", "infinity", "set", "bytes"],
)
def test_a_value_that_json_cannot_hold_is_not_written(
    tmp_path: Path, bad: Any, error: type[Exception]
) -> None:
    before = pickle_model(CONTENTS, tmp_path).read_bytes()
    with pytest.raises(error):
        pickle_model({**CONTENTS, "metrics": {"auc": bad}}, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"m.pkl": before}


@pytest.mark.parametrize(
    "name", ["", "A", "-a", "a" * 64, "a/b", "../m", "m.pkl", "m\n", "a b", "é", None, 1]
)
def test_a_bad_name_is_rejected_for_reading_and_writing(tmp_path: Path, name: Any) -> None:
    expected = "expected 1 to 63 characters from a-z 0-9 _ -, beginning with a letter or a digit"
    assert rejection(tmp_path, name) == f"model name {name!r} is not valid: {expected}"
    with pytest.raises(ModelFileError, match="is not valid"):
        pickle_model({**CONTENTS, "modelName": name}, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a" * 63, "0", "a-b_c"])
def test_a_valid_name_is_read_and_written(tmp_path: Path, name: str) -> None:
    pickle_model({**CONTENTS, "modelName": name}, tmp_path)
    assert init_model(name, tmp_path)["modelName"] == name


def make_too_large(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(MAX_BYTES + 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file. Train the model first (make train)."),
        (Path.mkdir, "is not a regular file. Remove it and train the model again."),
        (os.mkfifo, "is not a regular file. Remove it and train the model again."),
        (
            lambda path: path.symlink_to("elsewhere/m.pkl"),
            "can't be opened (Too many levels of symbolic links). Expected a regular file.",
        ),
        (make_too_large, f"has {MAX_BYTES + 1:,} bytes. At most {MAX_BYTES:,} are read."),
    ],
    ids=["missing", "directory", "fifo", "symlink", "too large"],
)
def test_anything_but_a_regular_file_of_bounded_size_is_rejected(
    tmp_path: Path, make: Any, message: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    # This file is valid, but it is outside models/.
    pickle_model(CONTENTS, tmp_path / "elsewhere")
    make(tmp_path / "m.pkl")
    assert rejection(tmp_path) == message


def test_a_truncated_file_is_rejected_at_every_length(tmp_path: Path) -> None:
    content = pickle_model({**CONTENTS, "model": b"onnx"}, tmp_path).read_bytes()
    found = {rejection_of(tmp_path, content[:length]) for length in range(len(content))}
    assert found == {NOT_OURS}
    (tmp_path / "m.pkl").write_bytes(content)
    assert init_model("m", tmp_path)["model"] == b"onnx"


def test_a_flipped_bit_is_found_in_every_byte(tmp_path: Path) -> None:
    content = pickle_model({**CONTENTS, "model": b"onnx"}, tmp_path).read_bytes()
    unpickled = 0
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        in_magic = place >= len(content) - len(MAGIC)
        expected = NOT_OURS if in_magic else DAMAGED
        assert rejection_of(tmp_path, bytes(flipped)) == expected
        unpickled += unpickles(bytes(flipped))
    assert unpickled, "the control: pickle.load alone reads many of them"


def unpickles(content: bytes) -> bool:
    """Return whether the module pickle can read `content`."""
    try:
        pickle.loads(content)
    except Exception:
        return False
    return True


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(CONTENTS),
        b"",
        b"\0" * 400,
        seal(pickle.dumps(CONTENTS))[:-1] + b"?",
        seal(b""),
    ],
    ids=["a plain pickle", "empty", "zeros", "another magic", "no body"],
)
def test_a_file_of_another_kind_is_rejected(tmp_path: Path, content: bytes) -> None:
    assert rejection_of(tmp_path, content) == NOT_OURS


def huge(opcode: bytes, form: str, number: int) -> bytes:
    """Return a short body with one opcode that asks for much memory."""
    return b"\x80\x05}" + opcode + struct.pack(form, number) + b"."


MISSING = f"lacks one of the keys format, model, scaler, modelName, schema, golden. {AGAIN}"


def message_about_key() -> str:
    """Return the message of this Python about a list as a key."""
    table: dict[Any, Any] = {}
    with pytest.raises(TypeError) as caught:
        table[[]] = None
    return str(caught.value)


BODIES = {
    "os.system": (
        call_by_reduce("true", 5),
        f"rejected: opcode STACK_GLOBAL at byte 28 is not plain data. {AGAIN}",
    ),
    "os.system, protocol 0": (
        call_by_reduce("true", 0),
        f"rejected: opcode GLOBAL at byte 0 is not plain data. {AGAIN}",
    ),
    "tuple": (
        pickle.dumps((1, 2), 5),
        f"rejected: opcode TUPLE2 at byte 15 is not plain data. {AGAIN}",
    ),
    "huge int": (
        pickle.dumps(2**5000, 5),
        f"rejected: opcode LONG4 at byte 11 is not plain data. {AGAIN}",
    ),
    "long_binput": (
        huge(b"r", "<I", 1 << 29),
        f"rejected: opcode LONG_BINPUT at byte 3 is not plain data. {AGAIN}",
    ),
    "binput": (
        huge(b"q", "<B", 255),
        f"rejected: opcode BINPUT at byte 3 is not plain data. {AGAIN}",
    ),
    "put": (b"\x80\x05}p99999999\n.", f"rejected: opcode PUT at byte 3 is not plain data. {AGAIN}"),
    "binget": (huge(b"h", "<B", 0), f"rejected: memo 0 at byte 3 was never set to a text. {AGAIN}"),
    "long_binget": (
        huge(b"\x94j", "<I", 1),
        f"rejected: memo 1 at byte 4 was never set to a text. {AGAIN}",
    ),
    "bytes": (
        huge(b"B", "<I", 2**31),
        f"rejected: expected 2147483648 bytes in a bytes4, but only 1 remain. {AGAIN}",
    ),
    "bytes8": (
        huge(b"\x8e", "<Q", 2**62),
        f"rejected: expected {2**62} bytes in a bytes8, but only 1 remain. {AGAIN}",
    ),
    "frame": (
        huge(b"\x95", "<Q", 2**62),
        f"is not a pickle of plain data (pickle data was truncated). {AGAIN}",
    ),
    "no stop": (b"\x80\x05}", f"rejected: pickle exhausted before seeing STOP. {AGAIN}"),
    "empty stack": (
        b"\x80\x05.",
        f"is not a pickle of plain data (unpickling stack underflow). {AGAIN}",
    ),
    "list as key": (
        b"\x80\x05}]]s.",
        f"is not a pickle of plain data ({message_about_key()}). {AGAIN}",
    ),
    "more behind": (
        pickle.dumps(CONTENTS, 5) + b"more",
        "rejected: 4 bytes after the pickle's end",
    ),
    "no dict": (pickle.dumps([], 5), MISSING),
    "a key missing": (pickle.dumps(CONTENTS, 5), MISSING),
    "another format": (
        pickle.dumps({"format": 2, **CONTENTS}),
        f"has format 2, this code reads 1. {AGAIN}",
    ),
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_that_is_not_plain_data_in_our_format_is_rejected_at_once(
    tmp_path: Path, kind: str
) -> None:
    body, message = BODIES[kind]
    started = time.monotonic()
    assert rejection_of(tmp_path, seal(body)) == message
    assert time.monotonic() - started < 5


def test_a_body_of_plain_data_in_our_format_is_read(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(seal(pickle.dumps({"format": 1, **CONTENTS}, 5)))
    assert init_model("m", tmp_path)["scaler"] == CONTENTS["scaler"]


def test_a_memo_bomb_costs_memory_in_an_unpickler_without_the_opcode_check(tmp_path: Path) -> None:
    """The reason for the opcode check: forbidding globals is not enough."""
    code = """
import io, pickle, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
pickle.Unpickler(io.BytesIO(open(sys.argv[1], "rb").read())).load()
"""
    (tmp_path / "bomb").write_bytes(huge(b"r", "<I", 1 << 29))
    assert "MemoryError" in run(sys.executable, "-c", code, tmp_path / "bomb").stderr


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_with_a_valid_trailer_raise_nothing_but_a_rejection(
    tmp_path_factory: pytest.TempPathFactory, body: bytes
) -> None:
    directory = tmp_path_factory.getbasetemp()
    assert rejection_of(directory, seal(body))
    assert rejection_of(directory, seal(b"\x80\x05" + body + b"."))


def test_nothing_in_a_file_runs(tmp_path: Path) -> None:
    executed = tmp_path / "executed"
    body = calls(f"touch '{executed}'")["in-golden"]
    rejection_of(tmp_path, seal(body))
    assert not executed.exists()

    # The control: a loader that only calls pickle.load.
    code = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    run(sys.executable, "-c", code, tmp_path / "m.pkl")
    assert executed.exists()


def exit_code_of_killed_writer(code: str, directory: Path) -> int:
    """Return the exit code of a child that writes into `directory` until it is killed."""
    variables = {"PYTHONPATH": str(ROOT)}
    program = KILLED_WRITER + code
    return run(sys.executable, "-B", "-c", program, directory, env=variables).returncode


def test_a_killed_writer_leaves_the_old_model_file(tmp_path: Path) -> None:
    pickle_model(CONTENTS, tmp_path)
    assert exit_code_of_killed_writer(WRITE_MODEL, tmp_path) == -signal.SIGXFSZ
    assert len(os.listdir(tmp_path)) == 2
    assert init_model("m", tmp_path)["model"] == CONTENTS["model"]

    pickle_model(CONTENTS, tmp_path)
    assert os.listdir(tmp_path) == ["m.pkl"]


def test_a_killed_writer_in_place_leaves_a_model_file_that_is_rejected(tmp_path: Path) -> None:
    """The control of the test above."""
    pickle_model(CONTENTS, tmp_path)
    assert exit_code_of_killed_writer(WRITE_IN_PLACE, tmp_path) == -signal.SIGXFSZ
    assert rejection(tmp_path) == NOT_OURS
