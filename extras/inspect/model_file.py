"""Print the contents of a model file and whether it is valid.

For any other pickle, print the names that loading it would import.

Usage: python -m extras.inspect.model_file NAME|PATH

NAME is a model in models/. PATH is any model file or pickle. No code in the file is run. The exit
code is 0 for a valid model file and for a pickle without imports, 1 for any other file, and 2 for
wrong usage. "No imports" is a finding, not a proof: scanners of pickles have been deceived.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from extras.inspect.pickles import read_pickles, unpack
from utils.encode_decode import MAGIC, MAX_BYTES, NAME, init_model
from utils.errors import ModelFileError
from utils.forms.skops import types_in
from utils.serving import ServedModel
from utils.signing import HMAC_MAGIC, hmac_keys

# Each pair of a label and a value is one line of the output.
Lines = Iterator[tuple[str, object]]


def read(path: Path) -> bytes:
    """Return the bytes of a regular file.

    Raises ModelFileError if there is no regular file or it has more than MAX_BYTES.
    """
    if not path.is_file():
        expected = "expected a model's name or the path of a file: MODEL=NAME"
        raise ModelFileError(f"{path}: no such file; {expected}")

    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ModelFileError(f"{path}: has {size:,} bytes. At most {MAX_BYTES:,} are read.")

    return path.read_bytes()


def format_file(content: bytes) -> str:
    """Return the size and the digest of a file."""
    return f"{len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}"


def format_signature(content: bytes) -> str:
    """Return what the trailer of a valid model file proves about its origin."""
    if not content.endswith(HMAC_MAGIC):
        return "no HMAC: the digest shows damage, not who wrote it"
    if hmac_keys():
        return "an HMAC of a key in MODEL_HMAC_KEY_FILE"
    return "an HMAC, unchecked: MODEL_HMAC_KEY_FILE isn't set"


def format_parts(contents: Mapping[str, Any]) -> str:
    """Return the parts of a model file with their sizes, the largest first."""
    sizes = {}
    for key, value in contents.items():
        # The digest is not in the pickle but in the trailer.
        if key != "digest":
            sizes[key] = len(pickle.dumps(value, 5))

    largest_first = sorted(sizes, key=lambda key: -sizes[key])
    return ", ".join(f"{key} {sizes[key]:,}" for key in largest_first)


def format_pairs(pairs: Mapping[str, object]) -> str:
    """Return names with their values on one line."""
    return ", ".join(f"{name} {value}" for name, value in pairs.items())


def format_column(schema: Mapping[str, Any]) -> str:
    """Return a short description of one column of the schema."""
    name = schema["name"]
    if "categories" in schema:
        return f"{name}: {len(schema['categories'])} categories"
    if "minimum" in schema:
        return f"{name}: {schema['minimum']:g} to {schema['maximum']:g}"
    return f"{name}: {schema['kind']}"


def content_lines(contents: Mapping[str, Any], content: bytes) -> Lines:
    """Yield the lines for the contents of a model file.

    `content` are the bytes of the same file.
    """
    data = contents.get("data", {})
    description = contents.get("modelDescription", "no description")
    created = contents.get("createdTime", "unknown")
    commit = contents.get("commit", "unknown")
    columns = contents["schema"].get("columns", [])

    yield "file", format_file(content)
    yield "body", f"format {contents['format']}, sha256 {contents['digest']}, as in its trailer"
    yield "signature", format_signature(content)
    yield "parts", format_parts(contents)
    yield "model", f"{contents['modelName']}: {description}"
    yield "trained", f"{created}, commit {commit}"
    yield "data", f"{data.get('path', 'unknown')}, sha256 {data.get('sha256', 'unknown')}"
    yield "libraries", format_pairs(contents.get("libraries", {}))
    yield "metrics", format_pairs(contents.get("metrics", {}))
    for column, groups in contents.get("groups", {}).items():
        for name, metrics in groups.items():
            yield "group", f"{column} = {name}: {format_pairs(metrics)}"
    yield "classes", contents["schema"]["classes"]
    yield "columns", "; ".join(format_column(column) for column in columns)
    engine = contents.get("engine", "onnx")
    yield "engine", engine
    if engine != "onnx":
        yield "requires", format_pairs(contents.get("requires", {}))
    if engine == "skops":
        yield "types", ", ".join(types_in(contents["model"]))


def model_file_lines(path: Path, content: bytes) -> Lines:
    """Yield the lines of a model file.

    Raises ModelFileError if the file is invalid, or if the model's answers for the golden rows
    differ from the recorded ones.
    """
    try:
        contents = init_model(path.stem, path.parent)
        yield from content_lines(contents, content)
    except (LookupError, TypeError, AttributeError, ValueError, BadZipFile) as error:
        raise ModelFileError(
            f"{path}: a part has a different structure from that of training: {error!r}"
        ) from error

    if contents.get("engine", "onnx") != "onnx":
        yield "golden rows", "not replayed: the server does it, with the libraries of the model"
        return
    served = ServedModel(path.stem, str(path.parent))
    served.refresh()
    rows = len(served.current().golden["instances"])
    yield "golden rows", f"{rows} held-out rows; the model gives the recorded answers"


def pickle_lines(path: Path, content: bytes) -> Lines:
    """Yield the lines of a pickle that is not a model file.

    Raises ModelFileError if loading the file would import names, or if it can't be read to its end.
    """
    yield "file", f"{format_file(content)}; not a model file of this repository"

    try:
        body = unpack(content)
    except ValueError as error:
        raise ModelFileError(f"{path}: {error}") from error

    findings = read_pickles(body)
    for name in sorted(findings.names):
        yield "imports", name
    yield "rows", findings.describe_rows()
    yield "pickles", findings.count

    if findings.problem:
        advice = "joblib's uncompressed arrays can't be read either."
        raise ModelFileError(f"{path}: {findings.problem}. {advice}")
    if findings.names:
        count = len(findings.names)
        raise ModelFileError(f"{path}: loading it would import {count} names and may call them")


def printable(value: object) -> str:
    """Return a value as a text of printable characters on one line.

    Control characters in a file could move the cursor or fake a line of the output.
    """
    letters = []
    for letter in str(value):
        letters.append(letter if letter.isprintable() else ascii(letter)[1:-1])
    return "".join(letters)


def file_path(argument: str) -> Path:
    """Return the path of the file for a model's name or a path."""
    if NAME.fullmatch(argument):
        return Path("models", f"{argument}.pkl")
    return Path(argument)


def main(arguments: list[str]) -> int:
    """Print the lines of one file and return the exit code."""
    if len(arguments) != 1 or not arguments[0]:
        print(__doc__, file=sys.stderr)
        return 2

    path = file_path(arguments[0])
    try:
        content = read(path)
        is_model_file = content.endswith((MAGIC, HMAC_MAGIC))
        read_lines = model_file_lines if is_model_file else pickle_lines
        for label, value in read_lines(path, content):
            print(f"{label:<12}{printable(value)}")
    except (ModelFileError, OSError) as error:
        print(f"not valid: {printable(error)}")
        return 1

    if is_model_file:
        print(f"valid: {path}")
    else:
        print(f"no imports found: {path}. This does not prove that the file is harmless.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
