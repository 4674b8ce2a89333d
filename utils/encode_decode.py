"""Write and read the model file.

`pickle_model` writes models/NAME.pkl, and `init_model` reads it. The file contains data, never
code: a pickle (protocol 5) of builtin types only, then the sha256 of the pickle, then MAGIC, and
optionally an HMAC (utils/signing.py). `pickle.load` can read it too, because it stops at the end of
the pickle.

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import pickletools
import re
import stat
from pathlib import Path
from typing import Any

from utils.atomic_file import replace_file
from utils.errors import ModelFileError
from utils.signing import hmac_keys, sign, verify

# Other modules import these names. ModelFileError is the error of these functions.
__all__ = ["ModelFileError", "init_model", "model_path", "pickle_model"]

FORMAT = 1
MAGIC = b"S2IMODEL"
TRAILER_BYTES = hashlib.sha256().digest_size + len(MAGIC)
# A forest of a million nodes takes 50 MB. A file that is much larger is a mistake or an attack.
MAX_BYTES = 1 << 30
# The trailer and the HMAC are shorter than this.
MAX_TRAILER = 1024
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
KEYS = ("format", "model", "scaler", "modelName", "schema", "golden")
# A pickle of builtin types needs only these opcodes. MEMOIZE sets the memo at the next index. Other
# opcodes that set it have an index as argument, which could allocate any amount of memory.
OPCODES = frozenset(
    """
    PROTO FRAME STOP MARK MEMOIZE BINGET LONG_BINGET
    EMPTY_DICT EMPTY_LIST SETITEM SETITEMS APPEND APPENDS
    NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT
    SHORT_BINUNICODE BINUNICODE BINUNICODE8 SHORT_BINBYTES BINBYTES BINBYTES8
    """.split()
)


def model_path(name: str, directory: str | os.PathLike[str] = "models") -> Path:
    """Return the path of model `name`.

    Raises ModelFileError for a name that could leave `directory`.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ModelFileError(
            f"model name {name!r} is not valid: expected 1 to 63 characters from a-z 0-9 _ -, "
            "beginning with a letter or a digit"
        )
    return Path(directory) / f"{name}.pkl"


def pickle_model(contents: dict[str, Any], directory: str | os.PathLike[str] = "models") -> Path:
    """Write `contents` to models/<modelName>.pkl atomically and return the path.

    `contents["model"]` is bytes. JSON must be able to represent all other values. Equal contents
    give equal bytes. The first of hmac_keys() signs the file.
    Raises ModelFileError for an invalid name or key, TypeError or ValueError for a value that is
    not plain data, and OSError if the disk fails.
    """
    path = model_path(contents["modelName"], directory)
    keys = hmac_keys()

    body = _encode(contents)
    if len(body) > MAX_BYTES - MAX_TRAILER:
        raise ModelFileError(
            f"{path}: would have {len(body):,} bytes. At most {MAX_BYTES:,} can be read. Use a "
            "smaller estimator, for example fewer or less deep trees."
        )
    digest = hashlib.sha256(body).digest()
    replace_file(path, sign(body + digest + MAGIC, keys))
    return path


def _encode(contents: dict[str, Any]) -> bytes:
    """Return the pickle of FORMAT and `contents`.

    The bytes are the same for equal contents.
    """
    metadata = {key: value for key, value in contents.items() if key != "model"}
    # Equal objects can have different pickles, because a shared text becomes a memo reference.
    # Encoding and decoding JSON makes the objects independent of that.
    text = json.dumps({"format": FORMAT, **metadata}, allow_nan=False, sort_keys=True)
    plain = json.loads(text)
    return pickle.dumps({**plain, "model": bytes(contents["model"])}, protocol=5)


def init_model(name: str, directory: str | os.PathLike[str] = "models") -> dict[str, Any]:
    """Return the contents of model `name`, with the file's sha256 as `digest`.

    Raises ModelFileError unless the file is complete and unchanged. The message names the file and
    what to do.
    """
    path = model_path(name, directory)
    content = _read_regular_file(path)
    body, digest = verified_body(content, path)
    _check_opcodes(body, path)
    contents = _decode(body, path)
    return {**contents, "digest": digest}


def _read_regular_file(path: Path) -> bytes:
    """Return the bytes of a regular file.

    Raises ModelFileError for a link, a directory, a pipe or a file of more than MAX_BYTES.
    """
    try:
        # Without O_NONBLOCK, opening a pipe would block. Without O_NOFOLLOW, a link could point
        # outside models/.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such file. Train the model first (make train).") from None
    except OSError as error:
        raise ModelFileError(
            f"{path}: can't be opened ({error.strerror}). Expected a regular file."
        ) from error

    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise ModelFileError(f"{path}: is not a regular file. Remove it and train the model again.")

    with open(descriptor, "rb") as file:
        if status.st_size > MAX_BYTES:
            raise ModelFileError(
                f"{path}: has {status.st_size:,} bytes. At most {MAX_BYTES:,} are read."
            )
        # read(MAX_BYTES) would allocate that much memory.
        return file.read(status.st_size)


def verified_body(content: bytes, path: Path) -> tuple[bytes, str]:
    """Return the pickle in a file's `content`, and its sha256 in hex.

    Raises ModelFileError if the digest or, with keys, the HMAC is wrong.
    """
    content = verify(content, hmac_keys(), path)
    if len(content) <= TRAILER_BYTES or not content.endswith(MAGIC):
        raise ModelFileError(
            f"{path}: is not a model file of this repository "
            "(its end is missing or has another form). "
            "Train it with `make train`, or load a pickle of your own in your own predict.py."
        )

    body = content[:-TRAILER_BYTES]
    digest = content[-TRAILER_BYTES : -len(MAGIC)]
    if hashlib.sha256(body).digest() != digest:
        raise ModelFileError(
            f"{path}: its sha256 does not match its contents: the file is corrupt. "
            "Train the model again."
        )
    return body, digest.hex()


def _check_opcodes(body: bytes, path: Path) -> None:
    """Raise ModelFileError unless `body` is exactly one pickle of plain data."""
    try:
        end = _position_of_stop(body)
    except ValueError as error:
        raise ModelFileError(f"{path}: rejected: {error}. Train the model again.") from error

    surplus = len(body) - 1 - end
    if surplus:
        raise ModelFileError(f"{path}: rejected: {surplus} bytes after the pickle's end")


def _position_of_stop(body: bytes) -> int:
    """Return the position of the last opcode of a pickle of plain data.

    Raises ValueError for an opcode that is not one of OPCODES, and for a shared value that is not a
    text. With a shared list, a short file could describe more values than fit into memory, or a
    list that contains itself.
    """
    is_text: list[bool] = []
    previous = ""
    end = 0
    for opcode, argument, position in pickletools.genops(body):
        end = position or 0
        if opcode.name not in OPCODES:
            raise ValueError(f"opcode {opcode.name} at byte {position} is not plain data")

        if opcode.name == "MEMOIZE":
            is_text.append("UNICODE" in previous)
        elif opcode.name in ("BINGET", "LONG_BINGET"):
            index = int(argument or 0)
            if index >= len(is_text) or not is_text[index]:
                raise ValueError(f"memo {argument} at byte {position} was never set to a text")
        previous = opcode.name
    return end


def _decode(body: bytes, path: Path) -> dict[str, Any]:
    """Return the contents in the pickle `body`.

    Raises ModelFileError unless they are a dict with KEYS, in FORMAT.
    """
    try:
        contents = _PlainUnpickler(io.BytesIO(body)).load()
    except Exception as error:
        raise ModelFileError(
            f"{path}: is not a pickle of plain data ({error}). Train the model again."
        ) from error

    if not isinstance(contents, dict) or not all(key in contents for key in KEYS):
        raise ModelFileError(
            f"{path}: lacks one of the keys {', '.join(KEYS)}. Train the model again."
        )
    if contents["format"] != FORMAT:
        raise ModelFileError(
            f"{path}: has format {contents['format']!r}, this code reads {FORMAT}. "
            "Train the model again."
        )
    return contents


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler without global names, so that a model file cannot call anything."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"refers to {module}.{name}")
