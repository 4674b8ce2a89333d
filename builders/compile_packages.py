"""Write the bytecode of the modules that the server and the packages import.

Usage: .venv/bin/python compile_packages.py       (PYTHONPATH is the folder of runtime/)

The bytecode of all modules would make an image larger by a tenth. These are the modules that an
import of each package loads; they include almost all modules that an application uses.
"""

import importlib
import os
import pkgutil
import sys
from importlib.metadata import packages_distributions

import runtime


def main() -> None:
    """Import the modules of the server and each installed package."""
    server = [f"runtime.{module.name}" for module in pkgutil.iter_modules(runtime.__path__)]
    for name in (*server, *sorted(packages_distributions())):
        try:
            importlib.import_module(name)
        # A package may exit, or lack one of its optional requirements.
        except BaseException as error:
            print(f"compile: {name}: {error!r}", file=sys.stderr)


if __name__ == "__main__":
    main()
    # A thread of a package must not keep the process alive.
    os._exit(0)
