"""Makes the combined application out of several model directories. Standard library only, Python 3.9.

Usage: python3 all/generate.py OUTPUT MODEL_DIR...       (make generate in all/; build.sh, into its context)
       python3 all/generate.py --check MODEL_DIR...      writes nothing

Writes OUTPUT/.s2i/environment, predict.py, requirements.txt and setup.sh, and copies each model below OUTPUT unless
OUTPUT is all/ itself. A route or a function that two models share, and two pins of one package, are refused.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "builders"))
from runtime.environment import ConfigurationError, Route, check_file  # noqa: E402

BANNER = "# Generated from the model directories by `make -C all generate`; don't edit.\n"
REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)")


def routes_of(directory: str) -> list[Route]:
    """The routes of one model directory; raises ConfigurationError, which names its file."""
    return check_file(ROOT / directory / ".s2i" / "environment", "predict")


def refuse_shared(owners: list[tuple[str, str]], what: str) -> None:
    """Raises ConfigurationError if two (name, directory) pairs have one name, naming both directories."""
    first: dict[str, str] = {}
    for name, directory in owners:
        if name in first:
            raise ConfigurationError(
                f"{what} {name} is in both {first[name]} and {directory}; rename one of them"
            )
        first[name] = directory


def environment(routes: list[tuple[str, Route]]) -> str:
    """The text of .s2i/environment: every model's routes, all to functions of the generated predict.py."""
    package = {route.module.split(".")[0] for _, route in routes}
    if len(package) != 1:
        raise ConfigurationError(
            f"the models' ROUTES name several packages: {', '.join(sorted(package))}"
        )
    module = f"{package.pop()}.predict"
    return f"{BANNER}ROUTES={','.join(f'{route.path}:{module}:{route.function}' for _, route in routes)}\n"


def predict(routes: list[tuple[str, Route]]) -> str:
    """The text of predict.py: an import of each model's function."""
    lines = [
        BANNER,
        '"""All models\' predict functions in one module, for the routes of the combined image."""\n\n',
    ]
    for directory, route in sorted(routes):
        module = route.module.split(".", 1)[-1]
        lines.append(f"from .{directory}.{module} import {route.function}\n")
    names = "".join(
        f'    "{route.function}",\n'
        for _, route in sorted(routes, key=lambda pair: pair[1].function)
    )
    return "".join(lines) + f"\n__all__ = [\n{names}]\n"


def requirements(directories: list[str]) -> str:
    """The text of requirements.txt: every model's requirements once; two pins of one package are refused."""
    first: dict[str, tuple[str, str]] = {}
    for directory in directories:
        for line in requirement_lines(ROOT / directory):
            found = REQUIREMENT.match(line)
            name = re.sub(r"[-_.]+", "-", found.group(1)).lower() if found else line
            pin, owner = first.setdefault(name, (line, directory))
            if pin != line:
                raise ConfigurationError(
                    f"{owner} wants {pin} and {directory} wants {line}; agree on one"
                )
    return BANNER + "".join(f"{pin}\n" for pin, _ in sorted(first.values()))


def requirement_lines(directory: Path) -> list[str]:
    """What a model's predict image installs, without comments and blank lines."""
    for name in ("requirements_predict.txt", "requirements.txt"):
        if (directory / name).exists():
            lines = (directory / name).read_text().splitlines()
            bare = (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines)
            return [line for line in bare if line]
    return []


def setup(directories: list[str], package: str) -> str:
    """The text of setup.sh: each model's own, in order."""
    lines = [
        f"bash {package}/{name}/setup.sh\n"
        for name in directories
        if (ROOT / name / "setup.sh").exists()
    ]
    return f"#!/usr/bin/env bash\n{BANNER}set -euo pipefail\n{''.join(lines)}"


def generated(directories: list[str]) -> dict[str, str]:
    """The four files' names and texts; raises ConfigurationError if the models clash."""
    there = [path.parent.name for path in ROOT.glob("*/predict.py") if path.parent.name != "all"]
    for directory in directories:
        if directory not in there:
            raise ConfigurationError(
                f"MODEL_DIRS: {directory!r} is not a model directory (it has no predict.py)"
            )
        if directories.count(directory) > 1:
            raise ConfigurationError(f"MODEL_DIRS: {directory} is named twice; name it once")
    routes = [(directory, route) for directory in directories for route in routes_of(directory)]
    refuse_shared([(route.path, directory) for directory, route in routes], "route")
    refuse_shared([(route.function, directory) for directory, route in routes], "function")
    package = routes[0][1].module.split(".")[0]
    return {
        ".s2i/environment": environment(routes),
        "predict.py": predict(routes),
        "requirements.txt": requirements(directories),
        "setup.sh": setup(directories, package),
    }


def write(output: Path, directories: list[str]) -> None:
    """Writes the four files below `output`, and the models beside them if that is not all/ itself."""
    texts = generated(directories)
    (output / ".s2i").mkdir(exist_ok=True)
    for name, text in texts.items():
        (output / name).write_text(text)
    if output.resolve() != ROOT / "all":
        for directory in directories:
            shutil.copytree(
                ROOT / directory,
                output / directory,
                ignore=shutil.ignore_patterns("__pycache__", ".s2i"),
            )
    os.chmod(output / "setup.sh", 0o755)


def main(arguments: list[str]) -> int:
    """Generates and returns the exit code."""
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        if arguments[0] == "--check":
            generated(arguments[1:])
        else:
            write(Path(arguments[0]), arguments[1:])
    except ConfigurationError as error:
        print(f"generate: {error}", file=sys.stderr)
        return 78
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
