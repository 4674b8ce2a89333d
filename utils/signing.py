"""Sign a model file with an HMAC and verify it. Standard library only, Python 3.9.

Where MODEL_HMAC_KEY_FILE names a file of keys, an HMAC-SHA256 of a file's content and HMAC_MAGIC
follow that content, and no file without them is read. Without the variable an HMAC is skipped.
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
    """Return the keys in MODEL_HMAC_KEY_FILE; none if it isn't set.

    The file holds a key a line: the first signs, any verifies.
    Raises ModelFileError unless it is a file at an absolute path whose keys all have at least
    KEY_BYTES; OSError from the disk.
    """
    name = os.environ.get("MODEL_HMAC_KEY_FILE", "")
    if not name:
        return []

    keys = _read_keys(name)
    sizes = [len(key) for key in keys]
    if not keys or min(sizes) < KEY_BYTES:
        raise ModelFileError(
            f"MODEL_HMAC_KEY_FILE={name}: expected the absolute path of a file with a key of at "
            f"least {KEY_BYTES} bytes a line (`openssl rand -hex 32` prints one), "
            f"found keys of {sizes} bytes"
        )
    return keys


def _read_keys(name: str) -> list[bytes]:
    """Return the lines of a file at an absolute path, none for any other path."""
    # A pipe would block; a relative path would name another file in every working directory.
    if not os.path.isabs(name) or not os.path.isfile(name):
        return []
    lines = [line.strip() for line in Path(name).read_bytes().splitlines()]
    return [line for line in lines if line]


def sign(content: bytes, keys: list[bytes]) -> bytes:
    """Return `content` followed by an HMAC of the first key; unchanged without keys."""
    if not keys:
        return content
    return content + hmac.digest(keys[0], content, HASH) + HMAC_MAGIC


def verify(content: bytes, keys: list[bytes], path: Path) -> bytes:
    """Return `content` without its HMAC.

    Raises ModelFileError, which names `path`, if there are keys and none of them made the HMAC.
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
    """Return whether one of `keys` made the HMAC `code` of `message`."""
    return any(hmac.compare_digest(code, hmac.digest(key, message, HASH)) for key in keys)


def _not_authentic(path: Path, problem: str) -> ModelFileError:
    return ModelFileError(
        f"{path}: {problem} in MODEL_HMAC_KEY_FILE. Train the model again with that file."
    )
