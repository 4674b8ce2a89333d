"""Seed the random generators of a worker with values of its own."""

import os
import random
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any


def seed_generators() -> None:
    """Seed all random generators with values of the operating system.

    These are the generators of Python and numpy, and those that modules of the application have as
    variables. Workers would draw the same numbers otherwise, because all have copies of them.
    """
    random.seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    for module in _application_modules():
        for value in list(vars(module).values()):
            _seed(value)


def _application_modules() -> Iterator[ModuleType]:
    """Yield the imported modules below the current folder, without installed packages."""
    folder = os.path.join(os.getcwd(), "")
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None) or ""
        if path.startswith(folder) and "site-packages" not in path:
            yield module


def _seed(value: Any) -> None:
    # isinstance() would call the code of proxy objects.
    kind = type(value)
    numpy = sys.modules.get("numpy.random")
    if issubclass(kind, random.Random):
        value.seed()
    elif numpy is None:
        return
    elif issubclass(kind, numpy.Generator):
        value.bit_generator.state = type(value.bit_generator)().state
    elif issubclass(kind, numpy.RandomState):
        # A RandomState of another kind than the default one cannot be seeded.
        with suppress(TypeError):
            value.seed()
