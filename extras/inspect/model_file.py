"""Shows what is in a model file and says whether it is sound; of any other pickle, what loading it would import.

Usage: python -m extras.inspect.model_file NAME|PATH       NAME: a model in models/; PATH: any model file or pickle

Nothing in a file is run. Exit code 0: sound (a foreign pickle: plain data, read to its end), 1: not, 2: usage.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from extras.inspect.walk import unpacked, walk
from utils.encode_decode import (
    HMAC_MAGIC,
    MAGIC,
    MAX_BYTES,
    NAME,
    ModelFileError,
    hmac_keys,
    init_model,
)
from utils.serving import ServedModel

Lines = Iterator[tuple[str, object]]


def read(path: Path) -> bytes:
    """The bytes of a regular file of at most MAX_BYTES; raises ModelFileError for anything else."""
    if not path.is_file():
        raise ModelFileError(
            f"{path}: no such file; expected a model's name or the path of a file: MODEL=adult_income_rf"
        )
    if path.stat().st_size > MAX_BYTES:
        raise ModelFileError(
            f"{path}: has {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read"
        )
    return path.read_bytes()


def signature(content: bytes) -> str:
    """What the trailer says of who wrote the file, once init_model has taken it."""
    if not content.endswith(HMAC_MAGIC):
        return "no HMAC: the digest shows damage, not who wrote it"
    return (
        "an HMAC of a key in MODEL_HMAC_KEY_FILE"
        if hmac_keys()
        else "an HMAC, unchecked: MODEL_HMAC_KEY_FILE isn't set"
    )


def column(schema: dict[str, Any]) -> str:
    """One column of the schema in a few words."""
    if schema["kind"] == "category":
        return f"{schema['name']}: {len(schema['categories'])} categories"
    return f"{schema['name']}: {schema['minimum']:g} to {schema['maximum']:g}"


def told(contents: dict[str, Any], content: bytes) -> Lines:
    """What a model file says of itself, as pairs of a word and a text."""
    sizes = {key: len(pickle.dumps(value, 5)) for key, value in contents.items() if key != "digest"}
    data = contents.get("data", {})
    yield "file", f"{len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}"
    yield "body", f"format {contents['format']}, sha256 {contents['digest']}, as in its trailer"
    yield "signature", signature(content)
    yield (
        "parts",
        ", ".join(
            f"{key} {size:,}" for key, size in sorted(sizes.items(), key=lambda pair: -pair[1])
        ),
    )
    yield "model", f"{contents['modelName']}: {contents.get('modelDescription', 'no description')}"
    yield (
        "trained",
        f"{contents.get('createdTime', 'unknown')}, commit {contents.get('commit', 'unknown')}",
    )
    yield "data", f"{data.get('path', 'unknown')}, sha256 {data.get('sha256', 'unknown')}"
    yield (
        "libraries",
        ", ".join(f"{name} {version}" for name, version in contents.get("libraries", {}).items()),
    )
    yield (
        "metrics",
        ", ".join(f"{name} {figure}" for name, figure in contents.get("metrics", {}).items()),
    )
    yield "classes", contents["schema"]["classes"]
    yield "columns", "; ".join(map(column, contents["schema"].get("columns", [])))


def model_file(path: Path) -> Lines:
    """The lines of a model file; raises ModelFileError unless it is whole and answers its golden rows as recorded."""
    try:
        yield from told(init_model(path.stem, path.parent), read(path))
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ModelFileError(
            f"{path}: a part has another shape than training gives it: {error!r}"
        ) from error
    served = ServedModel(path.stem, str(path.parent))
    served.refresh()
    rows = len(served.current().golden["instances"])
    yield "golden rows", f"{rows} held-out rows of the data, replayed: they agree"


def foreign(path: Path, content: bytes) -> Lines:
    """The lines of a pickle of others; raises ModelFileError if loading it would import names, or it can't be read."""
    yield (
        "file",
        f"{len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}; not a model file of this repository",
    )
    try:
        body = unpacked(content)
    except ValueError as error:
        raise ModelFileError(f"{path}: {error}") from error
    found = walk(body)
    for name, count in sorted(found.names.items()):
        yield "imports", f"{name} ({count} times)"
    yield "rows", found.rows()
    yield "behind it", f"{len(body) - found.end:,} bytes after the first pickle's end"
    if found.problem:
        raise ModelFileError(
            f"{path}: {found.problem}; joblib's uncompressed arrays end a walk too"
        )
    if found.names:
        raise ModelFileError(
            f"{path}: loading it would import {len(found.names)} names and may call them"
        )


def shown(text: object) -> str:
    """A text on one line, whatever is in it: a file's own words could move the cursor or fake a verdict."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(text))


def main(arguments: list[str]) -> int:
    """Shows one file and returns the exit code."""
    if len(arguments) != 1 or not arguments[0]:
        print(__doc__, file=sys.stderr)
        return 2
    path = (
        Path("models", f"{arguments[0]}.pkl")
        if NAME.fullmatch(arguments[0])
        else Path(arguments[0])
    )
    try:
        content = read(path)
        lines = (
            model_file(path) if content.endswith((MAGIC, HMAC_MAGIC)) else foreign(path, content)
        )
        for word, text in lines:
            print(f"{word:<12}{shown(text)}")
    except (ModelFileError, OSError) as error:
        print(f"not sound: {shown(error)}")
        return 1
    print(f"sound: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
