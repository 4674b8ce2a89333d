"""Seed the random generators of a worker with values of its own."""

import os
import random
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any


def find_generators() -> list[Any]:
    """Return the random generators that modules of the application have as variables.

    The process that imports the application calls this function. In a forked worker it would
    write to memory that the workers share, because it counts references to many objects.
    """
    return [
        value
        for module in _application_modules()
        for value in list(vars(module).values())
        if _is_generator(type(value))
    ]


def seed_generators(generators: Iterable[Any]) -> None:
    """Seed the random generators of Python, numpy and the application.

    Workers would draw the same numbers otherwise, because all have copies of them.
    """
    random.seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    for generator in generators:
        _seed(generator)


def _application_modules() -> Iterator[ModuleType]:
    """Yield the imported modules below the current folder, without installed packages."""
    folder = os.path.join(os.getcwd(), "")
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None) or ""
        if path.startswith(folder) and "site-packages" not in path:
            yield module


def _is_generator(kind: type) -> bool:
    numpy = sys.modules.get("numpy.random")
    if numpy is None:
        return issubclass(kind, random.Random)
    return issubclass(kind, (random.Random, numpy.Generator, numpy.RandomState))


def _seed(generator: Any) -> None:
    if hasattr(generator, "bit_generator"):
        generator.bit_generator.state = type(generator.bit_generator)().state
        return
    # A RandomState of another kind than the default one cannot be seeded.
    with suppress(TypeError):
        generator.seed()
