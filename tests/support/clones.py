"""Clones of the repository, which tests may change, and packages for them.

This module defines make_clone, add_model, build_wheel, with_other_hash.
"""

import re
import shutil
import zipfile
from hashlib import sha256
from pathlib import Path

from support.commands import ROOT, run

WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def make_clone(parent: Path, name: str = 'a clone\'s "copy"') -> Path:
    """Copy all files under git to a folder with spaces and quotes in its name.

    Wheels and environments are shared with the checkout: they are named after their contents, and
    take minutes to make.
    """
    clone = parent / name

    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard")
    for file in listed.stdout.splitlines():
        if (ROOT / file).exists():
            copy = clone / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, copy)

    (clone / ".local").mkdir()
    for shared in ("cache", "environments"):
        source = ROOT / ".local" / shared
        source.mkdir(parents=True, exist_ok=True)
        (clone / ".local" / shared).symlink_to(source)

    return clone


def add_model(clone: Path, name: str = "house", **files: str) -> Path:
    """Add a small model directory without its own requirements."""
    directory = clone / name
    (directory / ".s2i").mkdir(parents=True)
    texts = {
        ".s2i/environment": "ROUTES=house:finance_income_prediction.predict:predict\n",
        "predict.py": "def predict(msg):\n    return {'predictions': [1]}\n",
        "__init__.py": "",
        **files,
    }
    for file, text in texts.items():
        (directory / file).write_text(text)
    return directory


def build_wheel(directory: Path, name: str, version: str = "1.0", needs: str = "") -> str:
    """Write a wheel of a module `name` into `directory` and return its sha256."""
    directory.mkdir(exist_ok=True)
    path = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"

    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    if needs:
        metadata += f"Requires-Dist: {needs}\n"

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", WHEEL)
        archive.writestr(f"{info}/RECORD", "")

    return sha256(path.read_bytes()).hexdigest()


def with_other_hash(constraints: str, package: str = "flask") -> str:
    """Return the text of constraints.txt with other hashes for one package."""
    found = re.search(rf"^{package}==.*?(?=^[a-z])", constraints, re.MULTILINE | re.DOTALL)
    assert found

    entry = found.group()
    changed = re.sub("(?<=sha256:)[0-9a-f]{8}", "00000000", entry)
    return constraints.replace(entry, changed)
