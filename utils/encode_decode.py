"""The model file: `pickle_model` writes models/NAME.pkl, `init_model` reads it back. Data, never code.

A file is a pickle (protocol 5) of builtin types only, then the sha256 of all bytes before it, then MAGIC.
`pickle.load` reads it too: it stops at the pickle's end and ignores the trailer.
Where MODEL_HMAC_KEY_FILE names a file of keys, an HMAC-SHA256 of all that and HMAC_MAGIC follow; then no file without
one is read. Without the variable the HMAC is passed over.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import io
import json
import os
import pickle
import pickletools
import re
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

FORMAT = 1
MAGIC = b"S2IMODEL"
HMAC_MAGIC = b"S2I-HMAC"
TRAILER_BYTES = hashlib.sha256().digest_size + len(MAGIC)  # of the digest and of the HMAC alike
KEY_BYTES = 32  # a key shorter than the hash weakens it (RFC 2104, section 3)
# A forest of a million nodes takes 50 MB; what is far beyond that is a mistake, or an attack on memory.
MAX_BYTES = 1 << 30
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
KEYS = ("format", "model", "scaler", "modelName", "schema", "golden")
# All that a pickle of builtin types needs. Memo indices come from MEMOIZE alone, so none can ask for memory.
OPCODES = frozenset(
    "PROTO FRAME STOP MARK MEMOIZE BINGET LONG_BINGET EMPTY_DICT EMPTY_LIST SETITEM SETITEMS APPEND APPENDS "
    "NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT "
    "SHORT_BINUNICODE BINUNICODE BINUNICODE8 SHORT_BINBYTES BINBYTES BINBYTES8".split()
)


class ModelFileError(Exception):
    """A model file that is missing, unsound or not ours; the message says which, and what to do."""

    exit_code = 78  # EX_CONFIG; the train runner ends with it


def model_path(name: str, directory: str | os.PathLike[str] = "models") -> Path:
    """The path of model `name`; raises ModelFileError for a name that could leave `directory`."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ModelFileError(
            f"model name {name!r} is not one: expected 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit"
        )
    return Path(directory) / f"{name}.pkl"


def pickle_model(contents: dict[str, Any], directory: str | os.PathLike[str] = "models") -> Path:
    """Writes `contents` to models/<modelName>.pkl, whole or not at all, and returns the path.

    `contents["model"]` is bytes; all else must be what JSON can hold. Equal contents give equal bytes.
    The first of hmac_keys() signs it. Raises ModelFileError for a bad name or key, TypeError for anything else than
    plain data, OSError from the disk.
    """
    path, keys = model_path(contents["modelName"], directory), hmac_keys()
    # Through JSON, since equal objects can pickle differently (shared strings become memo references).
    metadata = {key: value for key, value in contents.items() if key != "model"}
    plain = json.loads(json.dumps({"format": FORMAT, **metadata}, allow_nan=False, sort_keys=True))
    body = pickle.dumps({**plain, "model": bytes(contents["model"])}, protocol=5)
    content = body + hashlib.sha256(body).digest() + MAGIC
    _replace(
        path, content + hmac.digest(keys[0], content, "sha256") + HMAC_MAGIC if keys else content
    )
    return path


def hmac_keys() -> list[bytes]:
    """The keys in the file that MODEL_HMAC_KEY_FILE names, one a line: the first signs, any verifies; none if unset.

    Raises ModelFileError for no file at an absolute path and for a key of less than KEY_BYTES, OSError from the disk.
    """
    name = os.environ.get("MODEL_HMAC_KEY_FILE", "")
    # A pipe would hang; a relative path would be another file in every folder.
    text = Path(name).read_bytes() if os.path.isabs(name) and os.path.isfile(name) else b""
    keys = [line.strip() for line in text.splitlines() if line.strip()]
    if name and min(map(len, keys), default=0) < KEY_BYTES:
        raise ModelFileError(
            f"MODEL_HMAC_KEY_FILE={name}: expected the absolute path of a file with a key of at least {KEY_BYTES} "
            f"bytes a line (`openssl rand -hex 32` prints one), found keys of {[len(key) for key in keys]} bytes"
        )
    return keys


def _replace(path: Path, content: bytes) -> None:
    """Puts `content` at `path` by way of a temporary file: a crash leaves the old file as it was."""
    pattern = f".{path.name}."
    _remove_leftovers(path.parent, pattern)
    descriptor, unfinished = _locked_file(path.parent, pattern)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, 0o644)  # mkstemp's 0600 can't be read by the uid that serves
            os.fsync(descriptor)
            os.replace(unfinished, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(unfinished)
        if isinstance(error, OSError):
            error.filename = os.fspath(path)  # a full disk doesn't say which file
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _locked_file(directory: Path, pattern: str) -> tuple[int, str]:
    """A new temporary file, whose lock tells _remove_leftovers that its writer lives."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=pattern, dir=directory)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, name
        os.close(descriptor)  # another writer took it for a leftover before it was locked


def _remove_leftovers(directory: Path, pattern: str) -> None:
    """Removes the temporary files of writers that were killed; a living writer holds a lock on its own."""
    for leftover in directory.glob(f"{pattern}*"):
        with suppress(OSError), open(leftover, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(leftover)


def init_model(name: str, directory: str | os.PathLike[str] = "models") -> dict[str, Any]:
    """Reads model `name` and returns its contents, with the file's sha256 as `digest`.

    Raises ModelFileError, whose message names the file and what to do, unless every byte is as it was written.
    """
    path = model_path(name, directory)
    body, digest = _checked_body(path, _authentic(path, _read(path)))
    _check_opcodes(path, body)
    try:
        contents = _Refusing(io.BytesIO(body)).load()
    except Exception as error:
        raise ModelFileError(
            f"{path}: is not a pickle of plain data ({error}); train the model again"
        ) from error
    if not isinstance(contents, dict) or not all(key in contents for key in KEYS):
        raise ModelFileError(f"{path}: lacks some of {', '.join(KEYS)}; train the model again")
    if contents["format"] != FORMAT:
        raise ModelFileError(
            f"{path}: has format {contents['format']!r}, this code reads {FORMAT}; train the model again"
        )
    return {**contents, "digest": digest}


def _read(path: Path) -> bytes:
    """The bytes of a regular file that lies where it says: no link, no pipe, no larger than MAX_BYTES."""
    try:
        # Without NONBLOCK a pipe would hang the open; NOFOLLOW refuses a link out of models/.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such file; train the model first (make train)") from None
    except OSError as error:
        raise ModelFileError(
            f"{path}: can't be opened ({error.strerror}); expected a regular file"
        ) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise ModelFileError(f"{path}: is not a regular file; remove it and train the model again")
    with open(descriptor, "rb") as file:
        if status.st_size > MAX_BYTES:
            raise ModelFileError(
                f"{path}: has {status.st_size:,} bytes; at most {MAX_BYTES:,} are read"
            )
        return file.read(status.st_size)  # not MAX_BYTES: read() makes room for all that it may get


def _authentic(path: Path, content: bytes) -> bytes:
    """`content` without its HMAC; raises ModelFileError if there are keys and none of them made one."""
    signed = content.endswith(HMAC_MAGIC)
    rest, code = (
        (content[:-TRAILER_BYTES], content[-TRAILER_BYTES : -len(MAGIC)])
        if signed
        else (content, b"")
    )
    keys = hmac_keys()
    if keys and not any(
        hmac.compare_digest(code, hmac.digest(key, rest, "sha256")) for key in keys
    ):
        found = "its HMAC is of none of the keys" if signed else "has no HMAC of a key"
        raise ModelFileError(
            f"{path}: {found} in MODEL_HMAC_KEY_FILE; train the model again with that file"
        )
    return rest


def _checked_body(path: Path, content: bytes) -> tuple[bytes, str]:
    """The pickle inside `content` and its sha256 in hex, once the trailer agrees with it."""
    if len(content) <= TRAILER_BYTES or not content.endswith(MAGIC):
        raise ModelFileError(
            f"{path}: is not a model file of this repository (its end is missing or another's); "
            "train it with `make train`, or load a pickle of your own in your own predict.py"
        )
    body, digest = content[:-TRAILER_BYTES], content[-TRAILER_BYTES : -len(MAGIC)]
    if hashlib.sha256(body).digest() != digest:
        raise ModelFileError(
            f"{path}: its sha256 doesn't match its contents: damaged; train the model again"
        )
    return body, digest.hex()


def _check_opcodes(path: Path, body: bytes) -> None:
    """Raises ModelFileError unless `body` is one pickle made of OPCODES that builds a tree: only texts are shared.

    Shared lists would let a short file spell out more values than memory holds, or a list that holds itself.
    """
    shareable: dict[int, bool] = {}
    before, end = "", 0
    try:
        for opcode, argument, position in pickletools.genops(body):
            end = position or 0
            if opcode.name not in OPCODES:
                raise ValueError(f"opcode {opcode.name} at byte {position} is not plain data")
            if opcode.name == "MEMOIZE":
                shareable[len(shareable)] = "UNICODE" in before
            if opcode.name in ("BINGET", "LONG_BINGET") and not shareable.get(int(argument or 0)):
                raise ValueError(f"memo {argument} at byte {position} was never set to a text")
            before = opcode.name
    except ValueError as error:
        raise ModelFileError(f"{path}: refused: {error}; train the model again") from error
    if end != len(body) - 1:
        raise ModelFileError(f"{path}: refused: {len(body) - 1 - end} bytes after the pickle's end")


class _Refusing(pickle.Unpickler):
    """An unpickler that knows no global name: nothing in a model file can be called."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"refers to {module}.{name}")
