"""Sample applications: the modules of tests/support/apps, which tests serve.

    write_application(directory)            # directory/app.py, the functions of apps/app.py
    Server(directory, routes("echo", "sleep"))

`routes` gives each function a route with the name of the function. Servers can also import these
modules from their folder; PYTHONPATH is the path for that.
"""

import os
import shutil
from pathlib import Path

from support.commands import ROOT

APPS = ROOT / "tests/support/apps"
PYTHONPATH = os.pathsep.join([str(ROOT / "builders"), str(ROOT), str(APPS)])


def write_application(directory: Path, *modules: str) -> None:
    """Copy modules of apps to `directory`, by default app.py."""
    for module in modules or ("app",):
        shutil.copy(APPS / f"{module}.py", directory)


def routes(*names: str, module: str = "app") -> str:
    """Return ROUTES for functions of a module, each under its own name."""
    return ",".join(f"{name}:{module}:{name}" for name in names)
