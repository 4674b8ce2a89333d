"""Find modules of an application whose names hide other modules.

Python finds the modules at the top of the application's folder first, for the server too.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import PathFinder, all_suffixes
from pathlib import Path

# Packages often install such folders by mistake, and nothing imports them.
STRAY = {"benchmarks", "docs", "examples", "scripts", "test", "tests", "tools", "utils"}
ADVICE = "Rename your module, or move it into a package."


def modules(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and the file of each module and package at the top of a folder.

    A folder without `__init__` does not hide another package.
    """
    for path in sorted(folder.iterdir()):
        for suffix in all_suffixes():
            file = path / f"__init__{suffix}" if path.is_dir() else path
            if file.is_file() and file.name.endswith(suffix):
                yield path.name if path.is_dir() else path.name[: -len(suffix)], file
                break


def hidden_standard_modules(folder: Path) -> Iterator[str]:
    """Yield a text for each module that hides one of the standard library."""
    # Python 3.9 does not have this list.
    names: frozenset[str] = getattr(sys, "stdlib_module_names", frozenset())
    for name, file in modules(folder):
        if name in names:
            yield f"{file}: hides the module {name!r} of Python's standard library. {ADVICE}"


def hidden_packages(folder: Path) -> Iterator[str]:
    """Yield a text for each module that hides an installed package."""
    installed = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    for name, file in modules(folder):
        found = PathFinder.find_spec(name, installed)
        if found is None or name in STRAY:
            continue
        # The requirements may install the application itself.
        if found.has_location and Path(str(found.origin)).read_bytes() == file.read_bytes():
            continue
        yield f"{file}: hides the installed package {name!r}. {ADVICE}"
