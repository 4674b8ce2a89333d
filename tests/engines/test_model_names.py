"""engines/model_names.py: copied directories and the images of originals."""

import shutil
from pathlib import Path

import pytest
from support.commands import Completed, make, run
from support.models import FASTEST, MODEL_DIRS, setting

MODEL = FASTEST
NAME = setting(MODEL, "MODEL_NAME")
CONTAINER = setting(MODEL, "CONTAINER_NAME")
COPY = "copied"
# One name each that the copy still has in common with the original.
SHARED = {
    "CONTAINER_NAME": f"{COPY}/Makefile: {MODEL} has CONTAINER_NAME {CONTAINER} too. "
    "Choose another CONTAINER_NAME.",
    "MODEL_NAME": f"{COPY}/Makefile: {MODEL} has MODEL_NAME {NAME} too. Choose another MODEL_NAME.",
    "ROUTES": f"{COPY}/.s2i/environment: {MODEL} has route {NAME}/predict too. "
    "Choose another route.",
}


def copy_model(clone: Path, shared: str = "") -> None:
    """Copy a model directory and change all its names except `shared`."""
    shutil.copytree(clone / MODEL, clone / COPY)
    changes = {
        "MODEL_NAME": ("Makefile", NAME, "copied_model"),
        "CONTAINER_NAME": ("Makefile", CONTAINER, "copied-model"),
        "ROUTES": (".s2i/environment", f"{NAME}/predict:", "copied/predict:"),
    }
    for name, (file, old, new) in changes.items():
        path = clone / COPY / file
        lines = path.read_text().splitlines(keepends=True)
        changed = [
            line.replace(old, new) if line.startswith(name) and name != shared else line
            for line in lines
        ]
        path.write_text("".join(changed))


def check(clone: Path, directory: str = COPY, image: str = "copied-model-train") -> Completed:
    """Run model_names.py check."""
    return run("python3", "engines/model_names.py", "check", directory, image, cwd=clone)


@pytest.mark.parametrize("target", ["build-train", "build-predict"])
def test_a_copy_that_was_not_edited_is_not_built(clone: Path, target: str) -> None:
    shutil.copytree(clone / MODEL, clone / COPY)
    done = make(clone, COPY, target, ENGINE="local")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"build.sh: {SHARED['CONTAINER_NAME']}\n" in done.stderr
    assert not (clone / ".local/images").exists()


@pytest.mark.parametrize("shared", SHARED)
def test_each_name_in_common_is_reported(clone: Path, shared: str) -> None:
    copy_model(clone, shared)
    image = f"{CONTAINER}-train" if shared == "CONTAINER_NAME" else "copied-model-train"
    done = check(clone, image=image)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == f"build.sh: {SHARED[shared]}\n"


def test_control_a_copy_with_its_own_names_is_accepted(clone: Path) -> None:
    copy_model(clone)
    done = check(clone)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_name_on_the_command_line_is_compared_too(clone: Path) -> None:
    copy_model(clone)
    done = make(clone, COPY, "build-train", f"CONTAINER_NAME={CONTAINER}", ENGINE="local")
    assert f"build.sh: {SHARED['CONTAINER_NAME']}\n" in done.stderr
    done = make(clone, COPY, "build-train", f"MODEL_NAME={NAME}", ENGINE="local")
    assert f"build.sh: {SHARED['MODEL_NAME']}\n" in done.stderr


@pytest.mark.parametrize("directory", [*MODEL_DIRS, "all"])
def test_the_originals_can_always_be_built(clone: Path, directory: str) -> None:
    shutil.copytree(clone / MODEL, clone / COPY)
    done = check(clone, directory, f"{CONTAINER}-predict")
    assert (done.returncode, done.stderr) == (0, "")


def test_without_a_verb_it_prints_its_usage() -> None:
    done = run("python3", "engines/model_names.py", MODEL)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: model_names.py check MODEL_DIR IMAGE" in done.stderr
