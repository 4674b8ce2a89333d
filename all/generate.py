"""Make the combined application of several model directories.

Usage: python3 all/generate.py OUTPUT MODEL_DIR...       `make -C all generate`; build.sh
       python3 all/generate.py --check MODEL_DIR...      writes nothing

The script writes .s2i/environment, predict.py, requirements.txt and setup.sh to OUTPUT. It copies
each model to OUTPUT, unless OUTPUT is all/ itself. It is an error if two models have the same route
or function, or different pins of one package.

The script uses only the standard library and runs on Python 3.9, because it runs on the host.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "builders"))
from requirement_files import RequirementError, read  # noqa: E402
from runtime.environment import Route, check_file  # noqa: E402
from runtime.settings import ConfigurationError  # noqa: E402
from runtime.text import truncate  # noqa: E402

BANNER = "# Generated from the model directories by `make -C all generate`; don't edit.\n"
REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)")
# An owned route is a pair: a model's directory and one of its routes.
Owned = tuple[str, Route]


def owned_routes(directories: list[str]) -> list[Owned]:
    """Return every model's routes.

    Raises ConfigurationError if one of the models' environment files is invalid.
    """
    owned = []
    for directory in directories:
        file = ROOT / directory / ".s2i" / "environment"
        for route in check_file(file, "predict"):
            owned.append((directory, route))
    return owned


def check_directories(directories: list[str]) -> None:
    """Raise ConfigurationError unless each name is a different model directory."""
    models = {file.parent.name for file in ROOT.glob("*/predict.py")} - {"all"}
    for directory in directories:
        if directory not in models:
            raise ConfigurationError(
                f"MODEL_DIRS: {directory!r} is not a model directory (it has no predict.py)"
            )
        if directories.count(directory) > 1:
            raise ConfigurationError(f"MODEL_DIRS: {directory} is listed twice. List it once.")


def check_unique(kind: str, owners: list[tuple[str, str]]) -> None:
    """Raise ConfigurationError if two (name, directory) pairs have the same name.

    `kind` is the kind of the names: "route" or "function".
    """
    first: dict[str, str] = {}
    for name, directory in owners:
        if name in first:
            raise ConfigurationError(
                f"{kind} {name} is in both {first[name]} and {directory}. Rename one of them."
            )
        first[name] = directory


def package_of(owned: list[Owned]) -> str:
    """Return the package of all models' functions.

    Raises ConfigurationError if the models have different packages.
    """
    packages = sorted({route.module.split(".")[0] for _, route in owned})
    if len(packages) > 1:
        names = ", ".join(packages)
        raise ConfigurationError(f"the models' ROUTES name several packages: {names}")
    return packages[0]


def environment_text(owned: list[Owned], package: str) -> str:
    """Return the text of .s2i/environment: every model's routes.

    The routes call functions of the generated predict.py.
    """
    entries = [f"{route.path}:{package}.predict:{route.function}" for _, route in owned]
    return f"{BANNER}ROUTES={','.join(entries)}\n"


def predict_text(owned: list[Owned]) -> str:
    """Return the text of predict.py: an import of each model's function."""
    lines = [
        BANNER,
        '"""All models\' predict functions, for the routes of the combined image."""\n\n',
    ]
    for directory, route in sorted(owned):
        module = route.module.split(".", 1)[-1]
        lines.append(f"from .{directory}.{module} import {route.function}\n")

    lines.append("\n__all__ = [\n")
    for function in sorted(route.function for _, route in owned):
        lines.append(f'    "{function}",\n')
    lines.append("]\n")
    return "".join(lines)


def requirements_text(directories: list[str], output: Path) -> str:
    """Return the text of requirements.txt in `output`: every requirement once.

    Raises ConfigurationError if two models have different pins of one package.
    """
    # The copies of the models are in `output`, unless it is all/ itself.
    base = output if output.resolve() == ROOT / "all" else ROOT
    pins: dict[str, tuple[str, str]] = {}
    for directory in directories:
        for line in requirement_lines(ROOT / directory, base):
            pin, owner = pins.setdefault(package_name(line), (line, directory))
            if pin != line:
                raise ConfigurationError(
                    f"{owner} requires {pin} and {directory} requires {line}. Use one version."
                )

    lines = [f"{pin}\n" for pin, _ in sorted(pins.values())]
    return BANNER + "".join(lines)


def package_name(line: str) -> str:
    """Return the normalised name of the package in a requirement."""
    match = REQUIREMENT.match(line)
    if not match:
        return line
    return re.sub(r"[-_.]+", "-", match.group(1)).lower()


def requirement_lines(directory: Path, base: Path) -> list[str]:
    """Return the requirements of a model's predict image.

    The lines of files that its requirements file includes are among them. A path is relative to
    `base`. Raises RequirementError for a line that cannot work.
    """
    files = [directory / name for name in ("requirements_predict.txt", "requirements.txt")]
    existing = [file for file in files if file.exists()]
    lines = []
    for file in read(existing[:1]):
        if file.is_constraint:
            lines.append(f"-c {relative(file.path, base)}")
            continue
        lines += [line.render(lambda path: relative(path, base)) for line in file.lines]
        lines += [f"--{name}" for name in ("pre", "require-hashes") if name in file.options]
    return lines


def relative(path: Path, base: Path) -> str:
    """Return a path relative to `base`, in the form of a local package."""
    return os.path.join(".", os.path.relpath(path, base))


def setup_text(directories: list[str], package: str) -> str:
    """Return the text of setup.sh, which runs the setup.sh of each model in order."""
    lines = ["#!/usr/bin/env bash\n", BANNER, "set -euo pipefail\n"]
    for directory in directories:
        if (ROOT / directory / "setup.sh").exists():
            lines.append(f"bash {package}/{directory}/setup.sh\n")
    return "".join(lines)


def generate(directories: list[str], output: Path = ROOT / "all") -> dict[str, str]:
    """Return the names and texts of the four files in `output`.

    Raises ConfigurationError if the models conflict, and RequirementError for a requirements file
    that cannot work.
    """
    check_directories(directories)
    owned = owned_routes(directories)
    check_unique("route", [(route.path, directory) for directory, route in owned])
    check_unique("function", [(route.function, directory) for directory, route in owned])
    package = package_of(owned)
    return {
        ".s2i/environment": environment_text(owned, package),
        "predict.py": predict_text(owned),
        "requirements.txt": requirements_text(directories, output),
        "setup.sh": setup_text(directories, package),
    }


def write(output: Path, directories: list[str]) -> None:
    """Write the four files to `output`.

    If `output` is not all/ itself, the models are copied too.
    """
    texts = generate(directories, output)
    (output / ".s2i").mkdir(exist_ok=True)
    for name, text in texts.items():
        (output / name).write_text(text)
    os.chmod(output / "setup.sh", 0o755)

    if output.resolve() == ROOT / "all":
        return
    ignore = shutil.ignore_patterns("__pycache__", ".s2i")
    for directory in directories:
        shutil.copytree(ROOT / directory, output / directory, ignore=ignore)


def main(arguments: list[str]) -> int:
    """Generate or check the files and return the exit code."""
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2

    try:
        if arguments[0] == "--check":
            generate(arguments[1:])
        else:
            write(Path(arguments[0]), arguments[1:])
    except (ConfigurationError, RequirementError) as error:
        print(f"generate: {truncate(str(error))}", file=sys.stderr)
        return 78
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
