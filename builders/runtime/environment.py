"""Read and check `.s2i/environment`, the file that names routes and functions.

Usage: python3 -m runtime.environment check FILE train|predict    check a file for a build
       python3 -m runtime.environment run FILE COMMAND...         run COMMAND with its variables

This module uses only the standard library, and runs on Python 3.9. It follows the rules of s2i,
but reports an error where s2i ignores a line without a message:
- A line that begins with `#` is a comment. Quotes are part of a value.
- A line is split at its first `=`, and both sides are trimmed.
- s2i ignores a line without `=`, and all lines after a line of more than 64 KiB.
- s2i uses the last of two equal keys.
"""

from __future__ import annotations

import keyword
import os
import re
import sys
from collections.abc import Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple

from runtime.settings import SETTINGS, ConfigurationError
from runtime.text import truncate

CONFIGURATION = 78  # EX_CONFIG in sysexits.h
ROLES = ("train", "predict")
MAX_LINE_BYTES = 64 * 1024
TRAIN = ("TRAIN_MODULE", "TRAIN_FUNCTION")
PREDICT = ("PREDICT_MODULE", "PREDICT_FUNCTION")
KEYS = ("ROUTES", *TRAIN, *PREDICT, "MODEL_NAME", "MODElNAME", "TRAIN", "PAYLOAD")
KNOWN = (*KEYS, *(setting.name for setting in SETTINGS))
WORDS = {word for known in KNOWN for word in known.split("_")}
# One letter turns a shorter name into another word: PORT into PORTS, HOST into COST.
SHORTEST_MISSPELLED = 6
RESERVED = ("health", "ready", "metrics", "openapi.json", "docs", "v2", "static")
ROUTE = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# This is a constant because __package__ is empty when this file runs as a program.
OWN_PACKAGE = "runtime"
FORM = "expected route:module:function, several joined by commas"


class Route(NamedTuple):
    """One entry of ROUTES: POST /path calls `function` of `module`."""

    path: str
    module: str
    function: str


def read(path: Path) -> dict[str, str]:
    """Return the variables in the file at `path`.

    Raises ConfigurationError for a line that s2i would drop or change.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        problem = f"can't be read ({error.strerror}). Every model needs this file."
        raise ConfigurationError(f"{path}: {problem}") from error

    variables: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        where = f"{path}, line {number}"
        if len(line) >= MAX_LINE_BYTES:
            problem = f"{len(line)} bytes. s2i drops this line and all after it."
            raise ConfigurationError(f"{where}: {problem}")
        if line.startswith(b"#") or not line.strip():
            continue
        key, value = parse_line(line, where)
        if key in variables:
            problem = f"{key} is set twice. s2i would use the last one. Keep one."
            raise ConfigurationError(f"{where}: {problem}")
        variables[key] = value
    return variables


def parse_line(line: bytes, where: str) -> tuple[str, str]:
    """Return the key and the value of one line.

    Raises ConfigurationError if s2i would drop the line, or if the key is a misspelled known key.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{where}: is not UTF-8 text") from None

    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not KEY.fullmatch(key):
        problem = f"expected KEY=value, found {text[:60]!r}. s2i would drop this line."
        raise ConfigurationError(f"{where}: {problem}")

    suggestion = suggest_key(key)
    if suggestion:
        raise ConfigurationError(f"{where}: {key} is not known. Did you mean {suggestion}?")
    if "\0" in value:
        raise ConfigurationError(f"{where}: {key} has a NUL character")
    return key, value


def suggest_key(key: str) -> str:
    """Return the known key that `key` misspells, or an empty text.

    Users may set any key. A misspelled key differs from a known key by case, or by one letter that
    is added, missing, changed or swapped with the next letter. A key of known words is not
    misspelled: TRAIN_SECONDS is not DRAIN_SECONDS.
    """
    if WORDS.issuperset(key.split("_")):
        return ""
    for known in KNOWN:
        if is_misspelling(key.upper(), known.upper()):
            return known
    return ""


def report_misspelled(variables: Mapping[str, str]) -> list[str]:
    """Return a warning for each variable whose name misspells a known one.

    It is no error: other software may have set the variable.
    """
    suggestions = {name: suggest_key(name) for name in sorted(variables)}
    return [
        f"{name} is not known and has no effect. Did you mean {suggestion}?"
        for name, suggestion in suggestions.items()
        if suggestion
    ]


def is_misspelling(word: str, known: str) -> bool:
    """Return whether two words differ by one letter.

    The letter is added, missing, changed or moved. A short known word must be equal, because many
    other words differ from it by one letter.
    """
    if len(known) < SHORTEST_MISSPELLED:
        return word == known
    if abs(len(word) - len(known)) > 1:
        return False
    matcher = SequenceMatcher(None, word, known, autojunk=False)
    matched = sum(block.size for block in matcher.get_matching_blocks())
    unmatched = len(word) + len(known) - 2 * matched
    return unmatched <= 2


def check(variables: Mapping[str, str], role: str) -> list[Route]:
    """Return the routes in `variables`.

    Raises ConfigurationError unless the variables define an image for `role`, train or predict.
    """
    check_quotes(variables)
    for module, function in (TRAIN, PREDICT):
        check_pair(variables, module, function)

    if role == "train" and not variables.get("TRAIN_MODULE"):
        problem = "TRAIN_MODULE and TRAIN_FUNCTION are not set. A train image needs them."
        raise ConfigurationError(problem)
    routes = variables.get("ROUTES", "")
    if role == "predict" and not routes:
        raise ConfigurationError(f"ROUTES is not set: {FORM}")
    return parse_routes(routes) if routes else []


def check_quotes(variables: Mapping[str, str]) -> None:
    """Raise ConfigurationError for a value with quotes, which s2i does not remove."""
    for key in KEYS:
        value = variables.get(key, "")
        # PAYLOAD is JSON, which contains quotes.
        if key != "PAYLOAD" and re.search("[\"'`]", value):
            problem = "quotes are part of the value. Remove them."
            raise ConfigurationError(f"{key}={value}: {problem}")


def check_pair(variables: Mapping[str, str], module: str, function: str) -> None:
    """Raise ConfigurationError if only one variable is set or a name is invalid."""
    given = [key for key in (module, function) if variables.get(key)]
    if not given:
        return
    if len(given) == 1:
        problem = f"{given[0]} is set alone. {module} and {function} belong together."
        raise ConfigurationError(problem)
    check_module(variables[module], f"{module}={variables[module]}")
    check_identifier(variables[function], f"{function}={variables[function]}", "a function's name")


def parse_routes(text: str) -> list[Route]:
    """Return the entries of a ROUTES text.

    Raises ConfigurationError for a malformed, reserved or repeated route.
    """
    routes: list[Route] = []
    for entry in text.split(","):
        route = parse_route(entry)
        if route.path in [other.path for other in routes]:
            where = f"ROUTES: entry {entry.strip()!r}"
            raise ConfigurationError(f"{where}: route {route.path} is used twice")
        routes.append(route)
    return routes


def parse_route(entry: str) -> Route:
    """Return one entry of ROUTES.

    Raises ConfigurationError if the entry is malformed or the route is reserved.
    """
    where = f"ROUTES: entry {entry.strip()!r}"
    parts = [part.strip() for part in entry.split(":")]
    if len(parts) != 3 or not all(parts):
        raise ConfigurationError(f"{where}: {FORM}")

    path = parts[0].strip("/")
    first_segment = path.split("/")[0]
    if first_segment in ("", *RESERVED):
        problem = f"/{path} is reserved for the server. Choose another route."
        raise ConfigurationError(f"{where}: {problem}")
    if not ROUTE.fullmatch(path):
        expected = "expected letters, digits and . _ ~ - in parts joined by /"
        raise ConfigurationError(f"{where}: route {path!r}: {expected}")

    route = Route(path, parts[1], parts[2])
    check_module(route.module, where)
    check_identifier(route.function, where, "a function's name")
    return route


def check_module(name: str, where: str) -> None:
    """Raise ConfigurationError unless `name` is a dotted module name."""
    for part in name.split("."):
        check_identifier(part, where, f"a module such as package.module in {name!r}")
    if name.split(".")[0] == OWN_PACKAGE:
        problem = f"the name {OWN_PACKAGE!r} is used by the builder. Rename your module."
        raise ConfigurationError(f"{where}: {problem}")


def check_identifier(name: str, where: str, expected: str) -> None:
    """Raise ConfigurationError unless `name` is a Python identifier."""
    if not name.isidentifier() or not name.isascii() or keyword.iskeyword(name):
        raise ConfigurationError(f"{where}: expected {expected}, found {name!r}")


def check_file(path: Path, role: str) -> list[Route]:
    """Return the routes in the file at `path`.

    Raises ConfigurationError, which names the file.
    """
    variables = read(path)
    try:
        return check(variables, role)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def run(path: Path, command: list[str]) -> None:
    """Replace this process by `command` with the file's variables.

    A variable that is already set keeps its value, as with `docker run -e`.
    """
    for name, value in read(path).items():
        os.environ.setdefault(name, value)
    os.execvp(command[0], command)


def main(arguments: list[str]) -> int:
    """Run one of the commands in this module's docstring and return the exit code."""
    try:
        if len(arguments) == 3 and arguments[0] == "check" and arguments[2] in ROLES:
            check_file(Path(arguments[1]), arguments[2])
            return 0
        if len(arguments) > 2 and arguments[0] == "run":
            run(Path(arguments[1]), arguments[2:])
    except ConfigurationError as error:
        print(f"environment: {truncate(str(error))}", file=sys.stderr)
        return CONFIGURATION
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
