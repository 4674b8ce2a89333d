"""Sign a model file with an HMAC and verify it.

If MODEL_HMAC_KEY_FILE names a file of keys, an HMAC-SHA256 of the content and HMAC_MAGIC are
appended to a model file, and a model file without them is rejected. If the variable is not set, an
HMAC is ignored.

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable
from pathlib import Path

from utils.errors import ModelFileError

HMAC_MAGIC = b"S2I-HMAC"
HASH = "sha256"
HASH_BYTES = 32
# A key shorter than the hash weakens it (RFC 2104, section 3).
KEY_BYTES = HASH_BYTES


def hmac_keys() -> list[bytes]:
    """Return the keys in MODEL_HMAC_KEY_FILE, or no keys if it is not set.

    The file contains one key per line. The first key signs, and all keys verify.
    Raises ModelFileError unless the variable is the absolute path of a file in which every key has
    at least KEY_BYTES. Raises OSError if the file cannot be read.
    """
    name = os.environ.get("MODEL_HMAC_KEY_FILE", "")
    if not name:
        return []

    keys = _read_keys(name)
    sizes = [len(key) for key in keys]
    if not keys or min(sizes) < KEY_BYTES:
        raise ModelFileError(
            f"MODEL_HMAC_KEY_FILE={name}: expected the absolute path of a file with one key of "
            f"at least {KEY_BYTES} bytes per line (`openssl rand -hex 32` prints one), "
            f"found keys of {sizes} bytes"
        )
    return keys


def _read_keys(name: str) -> list[bytes]:
    """Return the lines of the file at an absolute path, or [] if there is none."""
    # Reading a pipe would block. A relative path would depend on the working directory.
    if not os.path.isabs(name) or not os.path.isfile(name):
        return []
    lines = [line.strip() for line in Path(name).read_bytes().splitlines()]
    return [line for line in lines if line]


def sign(content: bytes, keys: list[bytes]) -> bytes:
    """Return `content` with an HMAC of the first key, or unchanged without keys."""
    if not keys:
        return content
    return content + hmac.digest(keys[0], content, HASH) + HMAC_MAGIC


def verify(content: bytes, keys: list[bytes], path: Path) -> bytes:
    """Return `content` without its HMAC.

    Raises ModelFileError, which names `path`, if there are keys and the HMAC matches none of them.
    """
    signed = content.endswith(HMAC_MAGIC)
    if not signed:
        if keys:
            raise _not_authentic(path, "No signature of a key")
        return content

    trailer_bytes = HASH_BYTES + len(HMAC_MAGIC)
    message = content[:-trailer_bytes]
    code = content[-trailer_bytes : -len(HMAC_MAGIC)]
    if keys and not _is_code_of_any(keys, message, code):
        raise _not_authentic(path, "Signature matches no key")
    return message


def _is_code_of_any(keys: Iterable[bytes], message: bytes, code: bytes) -> bool:
    """Return whether `code` is the HMAC of `message` for one of `keys`."""
    return any(hmac.compare_digest(code, hmac.digest(key, message, HASH)) for key in keys)


def _not_authentic(path: Path, problem: str) -> ModelFileError:
    return ModelFileError(
        f"{path}: {problem} in MODEL_HMAC_KEY_FILE. Train the model again with that file."
    )
