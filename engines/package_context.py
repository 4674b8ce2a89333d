"""Copy the files of a build that decide its packages, and print a digest of them.

Usage: package_context.py setup CONTEXT OUTPUT BASE            the files for setup.sh
       package_context.py train|predict CONTEXT OUTPUT BASE    the files for the packages of a role

The digest also depends on BASE, the image in which setup.sh runs or the packages are installed.

setup.sh may read any file, so all files are copied for it. The digest covers all of them except
Python modules, unless a shell script may use modules. The packages need the requirements file,
constraints.txt, and the files to which the requirements refer.

The server's settings and routes are not copied: they differ between applications, and no package
depends on them. This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "builders"))
sys.path.insert(0, str(ROOT / "engines"))
from commands import describe  # noqa: E402
from pip_settings import settings  # noqa: E402
from requirement_commands import DECISIVE  # noqa: E402
from requirement_files import (  # noqa: E402
    RequirementError,
    read,
    referenced,
    requirements_file,
)
from runtime.environment import KNOWN  # noqa: E402
from runtime.environment import read as read_environment  # noqa: E402

CONFIGURATION = 78  # EX_CONFIG in sysexits.h
ENVIRONMENT = ".s2i/environment"
# engines/stage.sh appends these variables.
STAGED = ("SOURCE_DIGEST", "GIT_COMMIT")
# A script with one of these words may run or copy Python modules.
USES_MODULES = re.compile(rb"\b(python|(pip3?|cp|mv|ln|rsync)\b)|\.py\b")


def files_below(path: Path) -> list[Path]:
    """Return the files in a folder, or the path itself if it is a file."""
    if path.is_dir() and not path.is_symlink():
        return [file for file in sorted(path.rglob("*")) if file.is_symlink() or file.is_file()]
    return [path]


def files_of_setup(source: Path) -> list[Path]:
    """Return the files that decide what setup.sh does."""
    files = files_below(source)
    scripts = [file for file in files if file.suffix == ".sh" and file.is_file()]
    if any(USES_MODULES.search(script.read_bytes()) for script in scripts):
        return files
    return [file for file in files if file.suffix != ".py"]


def files_of_packages(source: Path, role: str) -> list[Path]:
    """Return the files that decide the packages of a role.

    Raises RequirementError for a line of a requirements file that cannot work.
    """
    found = {source / "constraints.txt"}
    for _, path in referenced(read(requirements_file(source, role))):
        found.update(files_below(path))
    return [file for file in sorted(found) if file.exists()]


def environment_text(source: Path) -> str:
    """Return the variables in .s2i/environment that may decide packages."""
    variables = read_environment(source / ENVIRONMENT)
    return "".join(
        f"{name}={value}\n"
        for name, value in variables.items()
        if name not in KNOWN and name not in STAGED
    )


def decisive_files(kind: str, source: Path) -> list[Path]:
    """Return the files that decide what setup.sh does, or the packages of a role."""
    files = files_of_setup(source) if kind == "setup" else files_of_packages(source, kind)
    return [file for file in files if file != source / ENVIRONMENT]


def digest(base: str, kind: str, source: Path, files: list[Path]) -> str:
    """Return 16 hexadecimal digits for an image and the names and contents of files.

    Of the requirements files, only their lines count, not their order, names and comments. So
    different applications can have equal digests.
    """
    parts = [base, environment_text(source)]
    # With these settings of pip and uv, the same files install other versions.
    parts += [f"{name}={value}" for name, value in sorted(settings().items()) if name in DECISIVE]
    requirements = [] if kind == "setup" else read(requirements_file(source, kind))
    for file in requirements:
        texts = sorted(line.text for line in file.lines)
        if texts or file.options:
            parts.append(repr((file.is_constraint, texts, sorted(file.options.items()))))
    names = {file.path for file in requirements}
    for path in files:
        if path not in names:
            parts.append(repr((str(path.relative_to(source)), *describe(path))))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def main(arguments: list[str]) -> int:
    """Copy the files, print the digest and return the exit code."""
    if len(arguments) != 4 or arguments[0] not in ("setup", "train", "predict"):
        print(__doc__, file=sys.stderr)
        return 2

    kind = arguments[0]
    source = Path(arguments[1]).resolve()
    output = Path(arguments[2])
    try:
        files = decisive_files(kind, source)
    except RequirementError as error:
        print(f"requirements: {error}", file=sys.stderr)
        return CONFIGURATION
    for file in files_below(source) if kind == "setup" else files:
        copy = output / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy, follow_symlinks=False)
    (output / ENVIRONMENT).parent.mkdir(exist_ok=True)
    (output / ENVIRONMENT).write_text(environment_text(source))
    print(digest(arguments[3], kind, source, files))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
