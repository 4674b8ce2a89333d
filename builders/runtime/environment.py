"""Reads and checks `.s2i/environment`, the file that names routes and functions. Standard library only, Python 3.9.

Usage: environment.py check FILE train|predict     refuse a bad file, before a build and in it
       environment.py run FILE COMMAND...          COMMAND with the file's variables, as an image would have them

s2i reads the file without a word about what it drops, so the rules below are s2i's and the complaints are ours:
a line that begins with `#` is a comment; a line is split at its first `=`, both sides trimmed; quotes are literal;
a line without `=` is dropped, and so is all that follows a line over 64 KiB; the last of two equal keys wins.
"""

from __future__ import annotations

import keyword
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

CONFIGURATION = 78  # the exit code for it in sysexits.h
ROLES = ("train", "predict")
MAX_LINE_BYTES = 64 * 1024
TRAIN = ("TRAIN_MODULE", "TRAIN_FUNCTION")
PREDICT = ("PREDICT_MODULE", "PREDICT_FUNCTION")
KNOWN = ("ROUTES", *TRAIN, *PREDICT, "MODEL_NAME", "MODElNAME", "TRAIN", "PAYLOAD")
RESERVED = ("health", "ready", "metrics", "openapi.json", "docs", "v2", "static")
ROUTE = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OWN_PACKAGE = "runtime"  # not __package__, which is empty when this file runs as a program
FORM = "expected route:module:function, several joined by commas"


class ConfigurationError(Exception):
    """What `.s2i/environment` or a container's variables say can't be; the message names what and where."""


class Route(NamedTuple):
    """One entry of ROUTES: POST /path calls `function` of `module`."""

    path: str
    module: str
    function: str


def read(path: Path) -> dict[str, str]:
    """The variables in the file at `path`; raises ConfigurationError for a line that s2i would drop or change."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigurationError(
            f"{path}: can't be read ({error.strerror}); every model needs one"
        ) from error
    variables: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        where = f"{path}, line {number}"
        if len(line) >= MAX_LINE_BYTES:
            raise ConfigurationError(
                f"{where}: {len(line)} bytes; s2i drops this line and all after it"
            )
        if line.startswith(b"#") or not line.strip():
            continue
        key, value = key_and_value(line, where)
        if key in variables:
            raise ConfigurationError(
                f"{where}: {key} is set twice; s2i would take the last, keep one"
            )
        variables[key] = value
    return variables


def key_and_value(line: bytes, where: str) -> tuple[str, str]:
    """Both sides of one line; raises ConfigurationError if s2i would drop it or a person must have meant another."""
    try:
        key, equals, value = (part.strip() for part in line.decode().partition("="))
    except UnicodeDecodeError:
        raise ConfigurationError(f"{where}: is not UTF-8 text") from None
    if not equals or not KEY.fullmatch(key):
        raise ConfigurationError(
            f"{where}: expected KEY=value, found {line.decode()[:60]!r}; s2i would drop it"
        )
    meant = [known for known in KNOWN if key != known and nearly(key, known)]
    if key not in KNOWN and meant:
        raise ConfigurationError(f"{where}: {key} is not known, did you mean {meant[0]}?")
    if "\0" in value:
        raise ConfigurationError(f"{where}: {key} has a NUL character")
    return key, value


def nearly(word: str, known: str) -> bool:
    """Whether `word` is `known` but for case, or for one letter added, left out, changed or swapped with the next."""
    word, known = word.upper(), known.upper()
    if word == known:
        return True
    short, long = sorted((word, known), key=len)
    at = next((i for i, (a, b) in enumerate(zip(short, long)) if a != b), len(short))
    if len(short) == len(long):
        swapped = short[:at] + short[at : at + 2][::-1] + short[at + 2 :]
        return short[at + 1 :] == long[at + 1 :] or swapped == long
    return short[at:] == long[at + 1 :]


def check(variables: Mapping[str, str], role: str) -> list[Route]:
    """The routes in `variables`; raises ConfigurationError unless they make a `train` or a `predict` image."""
    for key in KNOWN:
        value = variables.get(key, "")
        if key != "PAYLOAD" and any(quote in value for quote in "\"'`"):
            raise ConfigurationError(
                f"{key}={value}: quotes are part of the value here; leave them out"
            )
    for module, function in (TRAIN, PREDICT):
        check_pair(variables, module, function)
    if role == "train" and not variables.get("TRAIN_MODULE"):
        raise ConfigurationError(
            "TRAIN_MODULE and TRAIN_FUNCTION are not set; a train image needs them"
        )
    if role == "predict" and not variables.get("ROUTES"):
        raise ConfigurationError(f"ROUTES is not set; {FORM}")
    return parse_routes(variables["ROUTES"]) if variables.get("ROUTES") else []


def check_pair(variables: Mapping[str, str], module: str, function: str) -> None:
    """Raises ConfigurationError unless both variables are set, or neither, and name a module and a function."""
    given = [key for key in (module, function) if variables.get(key)]
    if len(given) == 1:
        raise ConfigurationError(f"{given[0]} is set alone; {module} and {function} go together")
    if given:
        check_module(variables[module], f"{module}={variables[module]}")
        check_identifier(
            variables[function], f"{function}={variables[function]}", "a function's name"
        )


def parse_routes(text: str) -> list[Route]:
    """The entries of a ROUTES text; raises ConfigurationError for a bad, reserved or repeated one."""
    routes: list[Route] = []
    for entry in text.split(","):
        parts = [part.strip() for part in entry.split(":")]
        if len(parts) != 3 or not all(parts):
            raise ConfigurationError(f"ROUTES: entry {entry.strip()!r}: {FORM}")
        route = Route(parts[0].strip("/") if parts[0] != "/" else "", parts[1], parts[2])
        where = f"ROUTES: entry {entry.strip()!r}"
        if route.path.split("/")[0] in ("", *RESERVED):
            raise ConfigurationError(
                f"{where}: /{route.path} is reserved for the server; choose another route"
            )
        if not ROUTE.fullmatch(route.path):
            raise ConfigurationError(
                f"{where}: route {route.path!r}: expected letters, digits and . _ ~ - in parts joined by /"
            )
        if route.path in [other.path for other in routes]:
            raise ConfigurationError(f"{where}: route {route.path} is there twice")
        check_module(route.module, where)
        check_identifier(route.function, where, "a function's name")
        routes.append(route)
    return routes


def check_module(name: str, where: str) -> None:
    """Raises ConfigurationError unless `name` is a dotted module name."""
    for part in name.split("."):
        check_identifier(part, where, f"a module such as package.module in {name!r}")
    if name.split(".")[0] == OWN_PACKAGE:
        raise ConfigurationError(
            f"{where}: the name {OWN_PACKAGE!r} is the builder's own; rename your module"
        )


def check_identifier(name: str, where: str, expected: str) -> None:
    """Raises ConfigurationError unless `name` is a Python identifier."""
    if not name.isidentifier() or not name.isascii() or keyword.iskeyword(name):
        raise ConfigurationError(f"{where}: expected {expected}, found {name!r}")


def check_file(path: Path, role: str) -> list[Route]:
    """The routes in the file at `path`; raises ConfigurationError, which names the file, as `check` does."""
    variables = read(path)
    try:
        return check(variables, role)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def run(path: Path, command: list[str]) -> None:
    """Becomes `command` with the file's variables; those set already win, as `docker run -e` does over an image's."""
    for name, value in read(path).items():
        os.environ.setdefault(name, value)
    os.execvp(command[0], command)


def main(arguments: list[str]) -> int:
    """Runs one of the commands in this module's docstring and returns the exit code."""
    try:
        if len(arguments) == 3 and arguments[0] == "check" and arguments[2] in ROLES:
            check_file(Path(arguments[1]), arguments[2])
            return 0
        if len(arguments) > 2 and arguments[0] == "run":
            run(Path(arguments[1]), arguments[2:])
    except ConfigurationError as error:
        print(f"environment: {error}", file=sys.stderr)
        return CONFIGURATION
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
