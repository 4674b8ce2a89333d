"""engines/check_image.sh: a warning if an image is older than its files."""

import os
from pathlib import Path

import pytest
from support.clones import add_model, make_clone
from support.commands import Completed, make, output_of, run

IMAGE = "house-predict"
MODEL = "house"
OLDER = f"warning: {IMAGE} is older than the files in {MODEL}."
FAILED = f"warning: the last build of {IMAGE} failed, and this is the image of the build before."
NEXT = " Run make build-predict, or set BUILD=1.\n"
MAKEFILE = """MODEL_NAME := house
DATASET_NAME := data/house.csv
CONTAINER_NAME := house
include ../model.mk
"""
PREDICT = "def predict(msg):\n    return {'predictions': [1]}\n"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with a small model that is built for the local engine."""
    clone = make_clone(tmp_path)
    add_model(clone, MODEL, **{"predict.py": PREDICT, "Makefile": MAKEFILE})
    output_of(make_local(clone, "build-predict"))
    return clone


def make_local(clone: Path, target: str, **variables: str) -> Completed:
    """Run make for the small model under the local engine."""
    return make(clone, MODEL, target, ENGINE="local", **variables)


def warning(clone: Path) -> str:
    """Return what check_image.sh prints for the small model."""
    command = ("engines/check_image.sh", IMAGE, MODEL, "predict")
    done = run(*command, cwd=clone, env={"ENGINE": "local"})
    assert (done.returncode, done.stdout) == (0, "")
    return done.stderr


def test_an_edit_is_reported_until_it_is_built_or_taken_back(clone: Path) -> None:
    assert warning(clone) == ""
    for name in (f"{MODEL}/predict.py", "utils/model.py", "constraints.txt"):
        file = clone / name
        text = file.read_text()
        file.write_text(f"{text}# edited\n")
        assert warning(clone) == OLDER + NEXT
        file.write_text(text)
        assert warning(clone) == ""

    (clone / MODEL / "predict.py").write_text(f"{PREDICT}\n")
    output_of(make_local(clone, "build-predict"))
    assert warning(clone) == ""


def test_a_new_and_a_renamed_file_are_reported(clone: Path) -> None:
    new = clone / MODEL / "new.py"
    new.touch()
    assert warning(clone) == OLDER + NEXT
    output_of(make_local(clone, "build-predict"))
    new.rename(new.with_name("renamed.py"))
    assert warning(clone) == OLDER + NEXT


def test_control_other_times_and_files_outside_the_image_are_not_reported(clone: Path) -> None:
    os.utime(clone / MODEL / "predict.py", (2_000_000_000, 2_000_000_000))
    (clone / MODEL / "test").mkdir()
    for name in ("Makefile", "README.md", "test/test_instances.json"):
        with (clone / MODEL / name).open("a") as edited:
            edited.write("\n")
    assert warning(clone) == ""


def test_a_failed_build_is_reported_until_the_next_one(clone: Path) -> None:
    source = clone / MODEL / "predict.py"
    source.write_text("def predict(:\n")
    assert make_local(clone, "build-predict").returncode == 2
    assert warning(clone) == FAILED + NEXT

    # The image has these files.
    source.write_text(PREDICT)
    assert warning(clone) == ""

    source.write_text(f"{PREDICT}\n")
    assert warning(clone) == FAILED + NEXT
    output_of(make_local(clone, "build-predict"))
    assert warning(clone) == ""


def test_make_predict_prints_the_warning_and_build_1_builds_first(clone: Path) -> None:
    (clone / MODEL / "predict.py").write_text(f"{PREDICT}\n")
    # `PORT=x` stops the command before a server starts.
    assert OLDER + NEXT in make_local(clone, "predict", PORT="x").stderr

    done = make_local(clone, "predict", PORT="x", BUILD="1")
    assert f"---> Image {IMAGE} is ready\n" in done.stdout
    assert "warning" not in done.stderr
    assert warning(clone) == ""


def test_an_image_that_s2i_alone_has_built_is_not_checked(clone: Path) -> None:
    file = clone / f".local/images/{IMAGE}/.s2i/environment"
    kept = [line for line in file.read_text().splitlines() if "SOURCE_DIGEST" not in line]
    file.write_text("\n".join(kept))
    (clone / MODEL / "predict.py").write_text("")
    assert warning(clone) == ""


def test_without_an_image_there_is_no_warning(tmp_path: Path) -> None:
    clone = make_clone(tmp_path / "other")
    command = ("engines/check_image.sh", "none-predict", "all", "predict")
    done = run(*command, cwd=clone, env={"ENGINE": "local"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
