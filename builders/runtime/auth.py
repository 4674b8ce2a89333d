"""API keys: read from a file at start-up, compared with the Authorization header."""

import hmac
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from runtime.errors import RequestError, Response, error_response
from runtime.settings import ConfigurationError

# A header can contain these characters. A shorter key would be easy to guess.
KEY = re.compile(rb"[!-~]{16,}")
FORM = "expected one key per line, each of 16 or more printable ASCII characters without spaces"


def read_keys(path: str) -> tuple[bytes, ...]:
    """Return the keys in the file at `path`, or no keys if `path` is empty.

    Raises ConfigurationError for an invalid file. The message never contains a key.
    """
    if not path:
        return ()
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        reason = f"can't be read ({error.strerror})"
        raise ConfigurationError(f"API_KEY_FILE={path}: {reason}; {FORM}") from None

    keys = []
    for number, line in enumerate(content.splitlines(), 1):
        key = line.strip()
        if not key:
            continue
        if not KEY.fullmatch(key):
            found = f"line {number}: found {len(key)} bytes that are not a key"
            raise ConfigurationError(f"API_KEY_FILE={path}, {found}; {FORM}")
        keys.append(key)

    if not keys:
        raise ConfigurationError(f"API_KEY_FILE={path}: is empty; {FORM}")
    return tuple(keys)


def has_valid_key(headers: Mapping[bytes, bytes], keys: Iterable[bytes]) -> bool:
    """Return whether the Authorization header contains one of `keys`."""
    scheme, _, credentials = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer":
        return False
    sent = credentials.strip()
    return any(hmac.compare_digest(sent, key) for key in keys)


def unauthorized() -> Response:
    """Return a 401 response that names the expected header."""
    message = "expected Authorization: Bearer KEY, found none or an unknown key"
    return error_response(RequestError(401, "unauthorized", message))
