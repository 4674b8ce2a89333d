"""Check and suggest names for projects and models.

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import keyword
import os
import re
import sys
from pathlib import Path

from project.git import USAGE, ProjectError

# The modules of pinned packages that have another name than the package, and of the builder.
OTHER_MODULES = ("attr", "dateutil", "google", "runtime", "sklearn", "yaml")
IDENTIFIER = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# engines/common.sh has the same rule, which also allows a registry.
IMAGE = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*")


def check_name(variable: str, name: str, longest: int) -> None:
    """Raise ProjectError unless `name` is an identifier in lower case."""
    is_valid = IDENTIFIER.fullmatch(name) and not keyword.iskeyword(name)
    if is_valid and len(name) <= longest:
        return
    expected = f"expected at most {longest} lower-case letters and digits, joined by single _"
    close = suggested(name, longest)
    advice = f" Try {variable}={close}." if close and close != name else ""
    raise ProjectError(f"{variable}={name}: {expected}.{advice}", USAGE)


def check_container(name: str) -> None:
    """Raise ProjectError unless `name` can be the prefix of image names."""
    if not IMAGE.fullmatch(name):
        expected = "expected lower-case letters and digits, with single . _ - between them"
        raise ProjectError(f"CONTAINER_NAME={name}: {expected}. Choose another one.", USAGE)


def suggested(text: str, longest: int) -> str:
    """Return a valid name that is close to a text, or an empty text."""
    name = re.sub(r"[^a-z0-9]+", "_", snake_case(text)).lstrip("_0123456789")[:longest].strip("_")
    return f"{name}_project" if keyword.iskeyword(name) else name


def snake_case(name: str) -> str:
    """Return a name in lower case, with _ between its words.

    For example, lightGBM becomes light_gbm.
    """
    between_words = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
    return re.sub(between_words, "_", name).lower()


def check_directory_name(name: str, root: Path) -> None:
    """Raise ProjectError unless a model directory can have this name."""
    if not name.isidentifier() or not name.isascii() or keyword.iskeyword(name):
        expected = "expected letters, digits and _, and no word of Python"
        close = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
        is_better = close != name and close.isidentifier() and not keyword.iskeyword(close)
        advice = f" Try NAME={close}." if is_better and name.isascii() else " Choose another name."
        raise ProjectError(f"NAME={name}: {expected}.{advice}", USAGE)
    # A file system may not distinguish capitals.
    taken = [path.name for path in root.iterdir() if path.name.lower() == name.lower()]
    if taken:
        raise ProjectError(f"NAME={name}: {taken[0]} exists. Choose another name.", USAGE)
    if name in hidden_modules(root):
        problem = "a module of Python or a package has this name, and would be hidden"
        raise ProjectError(f"NAME={name}: {problem}. Try NAME={name}_model.", USAGE)


def hidden_modules(root: Path) -> set[str]:
    """Return the modules that a directory must not hide.

    They are those of the standard library, of the pinned packages and of the builder.
    """
    # Python 3.9 has no list of the modules in this folder.
    standard = {path.stem for path in Path(os.__file__).parent.iterdir()}
    pins = (root / "constraints.txt").read_text(encoding="utf-8")
    packages = re.findall(r"^([A-Za-z0-9._-]+)==", pins, re.MULTILINE)
    modules = {name.replace("-", "_") for name in packages}
    return standard.union(sys.builtin_module_names, modules, OTHER_MODULES)
