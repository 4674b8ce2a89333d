"""The names of a model directory: its image, its model file and its routes.

Usage: model_names.py check MODEL_DIR IMAGE     exit code 78 if another model uses one of the names

A copied model directory has the names of the original until its author changes them. Building it
would replace the original's image. This module uses only the standard library, and runs on Python
3.9.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "builders"))
from runtime.environment import parse_routes, read  # noqa: E402
from runtime.settings import ConfigurationError  # noqa: E402

ROLES = ("-train", "-predict")


def makefile_value(directory: str, name: str) -> str:
    """Return the value of a variable in a directory's Makefile, or an empty text."""
    file = ROOT / directory / "Makefile"
    text = file.read_text() if file.exists() else ""
    found = re.search(rf"^{name} *:= *(.*)", text, re.MULTILINE)
    return found.group(1).strip() if found else ""


def routes_of(directory: str) -> set[str]:
    """Return the paths of a model's routes.

    Raises ConfigurationError if its environment file is invalid.
    """
    text = read(ROOT / directory / ".s2i" / "environment").get("ROUTES", "")
    return {route.path for route in parse_routes(text)} if text else set()


def check(directory: str, image: str) -> None:
    """Raise ConfigurationError if `directory` has a name of another model.

    The other models are those of MODEL_DIRS, which can always be built themselves.
    """
    models = makefile_value("all", "MODEL_DIRS").split()
    if directory == "all" or directory in models:
        return
    container = re.sub("|".join(f"{role}$" for role in ROLES), "", image)
    model = os.environ.get("MODEL_NAME") or makefile_value(directory, "MODEL_NAME")
    routes = routes_of(directory)

    for other in models:
        where = f"{directory}/Makefile"
        check_different(where, "CONTAINER_NAME", container, other)
        check_different(where, "MODEL_NAME", model, other)
        shared = routes & routes_of(other)
        if shared:
            name = min(shared)
            raise ConfigurationError(
                f"{directory}/.s2i/environment: {other} has route {name} too. Choose another route."
            )


def check_different(where: str, variable: str, value: str, other: str) -> None:
    """Raise ConfigurationError if `other` has the same value of a variable."""
    if value and value == makefile_value(other, variable):
        raise ConfigurationError(
            f"{where}: {other} has {variable} {value} too. Choose another {variable}."
        )


def main(arguments: list[str]) -> int:
    """Check one directory and return the exit code."""
    if len(arguments) != 3 or arguments[0] != "check":
        print(__doc__, file=sys.stderr)
        return 2
    try:
        check(arguments[1], arguments[2])
    except ConfigurationError as error:
        print(f"build.sh: {error}", file=sys.stderr)
        return 78
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
