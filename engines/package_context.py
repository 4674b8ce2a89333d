"""Copy the files of a build that decide its packages, and print a digest of them.

Usage: package_context.py setup CONTEXT OUTPUT BASE            the files for setup.sh
       package_context.py train|predict CONTEXT OUTPUT BASE    the files for the packages of a role

The digest also depends on BASE, the image in which setup.sh runs or the packages are installed.

The packages need the requirements file, constraints.txt, and the files that the requirements name.
setup.sh may read any file. It gets all folders, all files that are not Python modules, and the
modules that it names, by themselves or by their folder. No other file changes the packages.

The server's settings and routes are not copied: they differ between applications, and no package
depends on them. This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "builders"))
from commands import describe  # noqa: E402
from runtime.environment import KNOWN, read  # noqa: E402

ENVIRONMENT = ".s2i/environment"
# engines/stage.sh appends these variables.
STAGED = ("SOURCE_DIGEST", "GIT_COMMIT")
COMMENT = re.compile(r"(^|\s)#.*")
VARIABLE = re.compile(r"\$\{?\w+\}?")
WORD = re.compile(r"[^\s\"'`;()&|<>=,:{}\[\]@$]+")
# These files may name other files.
TEXTS = (".sh", ".txt", ".in")


def content(path: Path) -> str:
    """Return the text of a script or a requirements file without comments."""
    text = path.read_bytes().decode(errors="replace")
    lines = [COMMENT.sub("", line).strip() for line in text.splitlines()]
    return "\n".join(line for line in lines if line)


def named_paths(file: Path, source: Path) -> Iterator[Path]:
    """Yield the files and folders of `source` that the words of `file` name.

    A word may be a path, a pattern such as *.deb, or a dotted module.
    """
    text = content(file)
    # Such an address contains a path inside the image.
    if "file:" in text:
        yield source
    for word in WORD.findall(VARIABLE.sub("", text)):
        path = word.strip("/")
        module = path.replace(".", "/")
        patterns = [path, module, f"{module}.py"] if "." in path else [path]
        for folder in (source, file.parent):
            for pattern in patterns:
                found = glob.glob(os.path.join(glob.escape(str(folder)), pattern))
                yield from map(Path, found if path else [])


def files_below(path: Path) -> list[Path]:
    """Return the files in a folder, or the path itself if it is a file."""
    if path.is_dir() and not path.is_symlink():
        return [file for file in sorted(path.rglob("*")) if file.is_symlink() or file.is_file()]
    return [path]


def with_named_files(files: Iterable[Path], source: Path) -> list[Path]:
    """Return `files`, the files that they name, the files that those name, and so on."""
    found: set[Path] = set()
    pending = list(files)
    while pending:
        file = pending.pop()
        if file in found:
            continue
        found.add(file)
        if not file.is_file() or file.suffix not in TEXTS or file.name == "constraints.txt":
            continue
        for path in named_paths(file, source):
            inside = Path(os.path.abspath(path))
            if inside == source or source in inside.parents:
                pending += files_below(inside)
    return sorted(found)


def requirements_file(source: Path, role: str) -> list[Path]:
    """Return the requirements file that assemble uses for a role, if there is one."""
    names = (f"requirements_{role}.txt", "requirements.txt")
    return [source / name for name in names if (source / name).is_file()][:1]


def environment_text(source: Path) -> str:
    """Return the variables in .s2i/environment that may decide packages."""
    variables = read(source / ENVIRONMENT)
    return "".join(
        f"{name}={value}\n"
        for name, value in variables.items()
        if name not in KNOWN and name not in STAGED
    )


def decisive_files(kind: str, source: Path) -> list[Path]:
    """Return the files that decide what setup.sh does, or the packages of a role.

    setup.sh also gets all folders, because it may write into them.
    """
    if kind == "setup":
        start = [path for path in source.rglob("*") if path.is_dir() or path.suffix != ".py"]
    else:
        start = [source / "constraints.txt", *requirements_file(source, kind)]
    files = with_named_files(start, source)
    return [file for file in files if file != source / ENVIRONMENT and file.exists()]


def digest(base: str, kind: str, source: Path, files: list[Path]) -> str:
    """Return 16 hexadecimal digits for an image and the names and contents of files.

    The name of the requirements file and its comments are left out, so that different applications
    can have equal digests.
    """
    parts = [base, environment_text(source)]
    for file in files:
        if [file] == requirements_file(source, kind):
            parts.append(content(file))
        else:
            parts.append(repr((str(file.relative_to(source)), *describe(file))))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def main(arguments: list[str]) -> int:
    """Copy the files, print the digest and return the exit code."""
    if len(arguments) != 4 or arguments[0] not in ("setup", "train", "predict"):
        print(__doc__, file=sys.stderr)
        return 2

    kind = arguments[0]
    source = Path(arguments[1]).resolve()
    output = Path(arguments[2])
    files = decisive_files(kind, source)
    for file in files:
        copy = output / file.relative_to(source)
        folder = copy if file.is_dir() else copy.parent
        folder.mkdir(parents=True, exist_ok=True)
        if file.is_file():
            shutil.copy(file, copy)
    (output / ENVIRONMENT).parent.mkdir(exist_ok=True)
    (output / ENVIRONMENT).write_text(environment_text(source))
    print(digest(arguments[3], kind, source, files))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
