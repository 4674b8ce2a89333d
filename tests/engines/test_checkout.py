"""Builds in checkouts of other users: read-only, without a home, with CR LF."""

import json
import os
import shutil
import stat
import sys
from pathlib import Path

import pytest
from support.clones import add_model
from support.commands import (
    ROOT,
    WITHOUT_CAPABILITIES,
    needs_setpriv,
    output_of,
    run,
)

CAPABILITIES = "+dac_override,+dac_read_search"
# A user without a name, who has access to the Python of this test.
UNKNOWN_USER = (
    *("setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups"),
    *("--inh-caps", CAPABILITIES, "--ambient-caps", CAPABILITIES),
)
ASKING = """
import getpass
import pathlib


def f(msg):
    return {"user": getpass.getuser(), "home": str(pathlib.Path.home())}


if __name__ == "__main__":
    print(f(None))
"""


def without_write_permission(folder: Path) -> None:
    """Remove the permission to write from a folder and all below it."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))


@needs_setpriv
@pytest.mark.parametrize("program", ["build.sh", "engines/stage.sh"])
def test_read_only_checkout_leaves_no_temporary_folder(clone: Path, program: str) -> None:
    add_model(clone)
    scratch = clone.parent / "scratch"
    (scratch / "context").mkdir(parents=True)
    without_write_permission(clone)
    stage = ("house", scratch / "context")
    arguments = ("house-predict", "house", "predict") if program == "build.sh" else stage
    env = {"ENGINE": "local", "TMPDIR": str(scratch)}
    done = run(*WITHOUT_CAPABILITIES, clone / program, *arguments, cwd=clone, env=env)
    if program == "build.sh":
        assert done.returncode == 77
        advice = "Make this folder writable, or copy the repository."
        assert done.stderr == f"build.sh: cannot write to .local/ of {clone}. {advice}\n"
    else:
        output_of(done)
    # The old behaviour: the user could not remove a copy with read-only folders.
    removed = run(*WITHOUT_CAPABILITIES, "rm", "-rf", scratch / "context")
    assert (removed.returncode, list(scratch.iterdir())) == (0, [])


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("home", ["", "/nonexistent"])
def test_user_without_a_name_and_a_home_directory_predicts(clone: Path, home: str) -> None:
    source = clone.parent / "source"
    (source / ".s2i").mkdir(parents=True)
    lines = ["TRAIN_MODULE=app", "TRAIN_FUNCTION=f", "PREDICT_MODULE=app", "PREDICT_FUNCTION=f"]
    (source / ".s2i/environment").write_text("\n".join(lines))
    (source / "app.py").write_text(ASKING)
    words = ("env", "-u", "HOME", "-u", "USER", "-u", "LOGNAME", f"TMPDIR={clone.parent}")
    user = (*UNKNOWN_USER, *words, *([f"HOME={home}"] if home else []))

    output_of(run(clone / "engines/local-build.sh", "a", source, "train", cwd=clone))
    settings = run(*user, sys.executable, clone / "engines/pip_settings.py", cwd=clone)
    assert (settings.returncode, settings.stderr) == (0, "")
    once = ("env", "TRAIN=", "PAYLOAD={}", clone / "engines/local.sh", "train", "a")
    answer = json.loads(output_of(run(*user, *once, cwd=clone)))
    assert answer == {"user": "54321", "home": str(clone.parent)}

    # The control: without the variables that `run` sets.
    control = run(*user, sys.executable, source / "app.py", cwd=clone)
    assert "Traceback" in control.stderr


def test_clone_with_autocrlf_keeps_scripts_that_bash_can_read(tmp_path: Path) -> None:
    with_attributes = clone_with_autocrlf(tmp_path, [".gitattributes"])
    assert run("bash", with_attributes / "demo.sh", "--help").stderr.startswith("Summary:")
    assert [path for path in texts(with_attributes) if b"\r" in path.read_bytes()] == []

    control = clone_with_autocrlf(tmp_path, [])
    assert b"\r" in (control / "demo.sh").read_bytes()
    assert "invalid option name" in run("bash", control / "demo.sh", "--help").stderr


def texts(folder: Path) -> list[Path]:
    """Return the files of a clone that programs read."""
    return [path for path in folder.iterdir() if path.is_file()]


def clone_with_autocrlf(parent: Path, more: list[str]) -> Path:
    """Commit some files of the repository, and clone them as Git for Windows does."""
    folder = parent / ("with" if more else "without")
    (folder / "origin/engines").mkdir(parents=True)
    names = ["demo.sh", "build.sh", "Makefile", "model.mk", "project.mk", *more]
    for name in (*names, "engines/choose.sh", "engines/common.sh"):
        shutil.copy(ROOT / name, folder / "origin" / name)
    author = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "core.autocrlf=false")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        output_of(run("git", *author, *words, cwd=folder / "origin"))
    words = ("git", "-c", "core.autocrlf=true", "clone", "-q", "origin", "clone")
    output_of(run(*words, cwd=folder))
    return folder / "clone"
