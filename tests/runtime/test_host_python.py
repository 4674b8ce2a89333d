"""The programs that run on the host, whose Python can be as old as 3.9."""

import ast
import shutil
from pathlib import Path

import pytest
from support.commands import ROOT, run
from support.models import MODEL_DIRS

HOST_FILES = [
    "all/generate.py",
    "builders/commands.py",
    "builders/runtime/environment.py",
    "builders/runtime/settings.py",
    "builders/runtime/text.py",
    "builders/runtime/threads.py",
    "engines/check_endpoint.py",
    "engines/client.py",
    "engines/image_labels.py",
    "engines/local_server.py",
    "engines/model_names.py",
    "engines/model_table.py",
    "engines/pip_settings.py",
    "engines/port.py",
    "engines/readiness.py",
    "engines/reload.py",
    "engines/server_start.py",
    "engines/show_log.py",
    "engines/user_paths.py",
    "engines/training_table.py",
    "project/check.py",
    "project/check_models.py",
    "project/check_trained.py",
    "project/combined.py",
    "project/command.py",
    "project/describe.py",
    "project/expect.py",
    "project/git.py",
    "project/instance_file.py",
    "project/models.py",
    "project/names.py",
    "project/new_model.py",
    "project/new_project.py",
    "project/remove_model.py",
    "project/update_template.py",
    "utils/atomic_file.py",
    "utils/encode_decode.py",
    "utils/errors.py",
    "utils/signing.py",
]
CONFIGURATION_ERROR = 78


@pytest.mark.parametrize("file", HOST_FILES)
def test_file_for_the_host_parses_as_python_3_9(file: str) -> None:
    source = (ROOT / file).read_text()
    ast.parse(source, feature_version=(3, 9))

    newer_source = source + "\nmatch 1:\n    case _: pass\n"
    with pytest.raises(SyntaxError):
        ast.parse(newer_source, feature_version=(3, 9))


def is_python_3_9(program: str) -> bool:
    """Return whether a program is a working Python 3.9."""
    done = run(program, "-c", "import sys; print(sys.version_info[:2])")
    return done.stdout == "(3, 9)\n"


@pytest.fixture(scope="module")
def python39() -> str:
    """A Python 3.9 of this machine."""
    candidates = [str(path) for path in Path.home().glob(".pyenv/versions/3.9.*/bin/python")]
    on_path = shutil.which("python3.9")
    if on_path is not None:
        candidates.insert(0, on_path)

    for candidate in candidates:
        if is_python_3_9(candidate):
            return candidate
    pytest.skip("this machine has no Python 3.9")


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        ("builders/commands.py object name value", 0),
        ("engines/pip_settings.py", 0),
        ("engines/port.py 0", 2),
        ("engines/check_endpoint.py", 2),
        ("engines/image_labels.py image", 0),
        ("engines/local_server.py", 2),
        ("engines/model_names.py check all image", 0),
        ("engines/model_table.py", 0),
        ("engines/server_start.py", 2),
        ("engines/show_log.py", 0),
        ("engines/user_paths.py", 2),
        ("engines/user_paths.py context package model", 0),
        ("engines/model_table.py models/no_such.pkl", CONFIGURATION_ERROR),
        ("all/generate.py --check " + " ".join(MODEL_DIRS), 0),
    ],
)
def test_file_for_the_host_runs_on_python_3_9(
    python39: str, arguments: str, exit_code: int
) -> None:
    done = run(python39, "-I", *arguments.split())

    assert done.returncode == exit_code, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        ("runtime.settings names", 0),
        ("runtime.settings none", 2),
        ("runtime.environment check all/.s2i/environment predict", 0),
        ("runtime.environment check all/.s2i/environment train", CONFIGURATION_ERROR),
    ],
)
def test_module_for_the_host_runs_on_python_3_9(
    python39: str, arguments: str, exit_code: int
) -> None:
    environment = {"PYTHONPATH": str(ROOT / "builders"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = run(python39, "-m", *arguments.split(), env=environment)

    assert done.returncode == exit_code, done.stderr
    assert "Traceback" not in done.stderr


def test_python_3_9_fails_on_newer_code(python39: str) -> None:
    done = run(python39, "-c", "def f(x: int | None): ...")

    assert done.returncode == 1
    assert "TypeError" in done.stderr
