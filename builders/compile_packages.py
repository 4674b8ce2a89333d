"""Write the bytecode of the modules that the server and the packages import.

Usage: .venv/bin/python -B compile_packages.py       (PYTHONPATH is the folder of runtime/)

The bytecode of all modules would make an image larger by a tenth. These are the modules that an
import of each package loads; they include almost all modules that an application uses.
"""

import importlib
import pkgutil
import subprocess
import sys
from importlib.metadata import packages_distributions

import runtime


def import_all() -> None:
    """Import the modules of the server and each installed package."""
    server = [f"runtime.{module.name}" for module in pkgutil.iter_modules(runtime.__path__)]
    for name in (*server, *sorted(packages_distributions())):
        try:
            importlib.import_module(name)
        # A package may exit, or lack one of its optional requirements.
        except BaseException as error:
            print(f"compile: {name}: {error!r}", file=sys.stderr)


def loaded_files() -> list[str]:
    """Return the files of all imported modules in the environment."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    return sorted(
        {file for file in files if file and file.startswith(sys.prefix) and file.endswith(".py")}
    )


def main() -> int:
    """Compile the modules and return the exit code."""
    import_all()
    # The bytecode depends on the contents of the modules only, so that builds are reproducible.
    command = [sys.executable, "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash"]
    files = "\n".join(loaded_files())
    return subprocess.run([*command, "-i", "-"], input=files, text=True).returncode


if __name__ == "__main__":
    sys.exit(main())
