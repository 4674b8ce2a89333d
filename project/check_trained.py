"""Check whether each model file fits its directory and its data.

This module uses only the standard library, and runs on Python 3.9. Its functions read the
repository in the working directory.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from model_names import makefile_value

from project.check_models import Finding, model_directories
from project.describe import clean_environment
from utils.encode_decode import NAME, init_model
from utils.errors import ModelFileError


def trained_findings() -> Iterator[Finding]:
    """Yield each model file that was trained from other files. It may be missing."""
    for directory in model_directories():
        name = makefile_value(directory, "MODEL_NAME")
        file = Path("models", f"{name}.pkl")
        if not NAME.fullmatch(name) or not file.exists():
            continue
        advice = f"Type make -C {directory} train BUILD=1"
        try:
            contents = init_model(name)
        except ModelFileError as error:
            yield Finding("model", str(file), f"{error} {advice}")
            continue
        data = contents.get("data", {})
        if has_changed(data):
            problem = f"was trained on other values of {data['path']}"
            yield Finding("model", str(file), f"{problem}. {advice}")
        elif data and data["path"] != makefile_value(directory, "DATASET_NAME"):
            problem = f"was trained on {data['path']}, which is not DATASET_NAME of {directory}"
            yield Finding("model", str(file), f"{problem}. {advice}")
        recorded = contents.get("source_digest", "unknown")
        if recorded not in ("unknown", source_digest(directory) or recorded):
            problem = f"was trained with other files than those of {directory} and utils"
            yield Finding("model", str(file), f"{problem}. {advice}")


def has_changed(data: dict[str, str]) -> bool:
    """Return whether a data set differs from the one that a model file records."""
    path = Path(data.get("path", ""))
    if not path.is_file():
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() != data["sha256"]


def source_digest(directory: str) -> str:
    """Return the digest of the files of a model's images, or "" if it has none."""
    with tempfile.TemporaryDirectory() as context:
        command = ["engines/stage.sh", directory, context]
        done = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
        if done.returncode != 0:
            return ""
        text = Path(context, ".s2i", "environment").read_text(encoding="utf-8")
    found = re.search("^SOURCE_DIGEST=(.*)", text, re.MULTILINE)
    return found.group(1) if found else ""
