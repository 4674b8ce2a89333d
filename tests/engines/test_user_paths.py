"""engines/user_paths.py: messages of a build name the user's files."""

import subprocess
import sys

import pytest
from support.commands import ROOT, clean_environment

CONTEXT = "/tmp/my 'own' (context)"
PACKAGE = "finance_income_prediction"
BUILDING = f"{ROOT}/.local/building/123"
FOLDERS = [
    CONTEXT,
    f"/private{CONTEXT}",
    BUILDING,
    "/tmp/src",
    "/run/s2i-source",
    "/model",
    "/action",
]


def renamed(text: str, model: str = "house") -> str:
    """Return a build's message as user_paths.py prints it."""
    done = subprocess.run(
        [sys.executable, ROOT / "engines/user_paths.py", CONTEXT, PACKAGE, model],
        input=text,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize(
    ("path", "original"),
    [
        (f"{PACKAGE}/train.py", "house/train.py"),
        (f"{PACKAGE}/deep/er.py", "house/deep/er.py"),
        (".s2i/environment", "house/.s2i/environment"),
        ("requirements_train.txt", "house/requirements_train.txt"),
        ("requirements.txt", "house/requirements.txt"),
        ("setup.sh", "house/setup.sh"),
        ("utils/model.py", "utils/model.py"),
        ("constraints.txt", "constraints.txt"),
    ],
)
def test_copy_is_named_as_its_original(folder: str, path: str, original: str) -> None:
    message = "File '{0}', line 1: {0}\n{0}: wrong"
    assert renamed(message.format(f"{folder}/{path}")) == message.format(original)


def test_path_in_pythons_representation_is_named_as_its_original() -> None:
    error = SyntaxError("invalid syntax", (f'{CONTEXT}/{PACKAGE}/a "b".py', 1, 7, "def", 1, 8))
    assert renamed(f"{error!r}\n") == renamed(repr(error)) + "\n"
    assert renamed(repr(error)).startswith("SyntaxError('invalid syntax', ('house/a \"b\".py', 1,")


def test_relative_paths_are_named_as_their_originals() -> None:
    message = "./setup.sh: line 2\nin `requirements_predict.txt` at 1\n-r requirements.txt\n"
    expected = (
        "house/setup.sh: line 2\nin `house/requirements_predict.txt` at 1\n"
        "-r house/requirements.txt\n"
    )
    assert renamed(message) == expected
    assert renamed(f"{PACKAGE}/predict.py:3\n") == "house/predict.py:3\n"


def test_combined_image_names_the_models_own_files() -> None:
    message = f"{BUILDING}/{PACKAGE}/randomForest/predict.py and {BUILDING}/{PACKAGE}/predict.py\n"
    assert renamed(message, "all") == "randomForest/predict.py and all/predict.py\n"
    assert renamed(f"bash: {PACKAGE}/xgBoost/setup.sh: x\n", "all") == "bash: xgBoost/setup.sh: x\n"


@pytest.mark.parametrize(
    "text",
    [
        "/srv/me/requirements.txt",
        "data/setup.sh",
        "my_setup.sh",
        "---> Running setup.sh",
        "my-requirements.txt",
        "requirements_test.txt",
        "/data/model/utils/a.py",
        f"{ROOT}/.local/images/other.1/utils/a.py",
        f"{ROOT}/builders/runtime/requirements.txt",
        f"importing {PACKAGE}.train failed",
        "no line break at the end \udcff é",
    ],
)
def test_other_text_is_unchanged(text: str) -> None:
    data = text.encode(errors="surrogateescape").decode(errors="replace")
    assert renamed(data) == data


def test_builders_own_files_are_named_from_the_repository() -> None:
    path = "builders/runtime/requirements.txt"
    assert renamed(f"/opt/{path}\n") == f"{path}\n"


def test_messages_of_s2i_about_a_registry_are_dropped() -> None:
    dropped = (
        "WARNING: could not inspect the builder image for labels: pinging container registry x: "
        "no such host\n"
        'Checking if image "docker.io/library/s2i-daemon-python:latest" is available locally ...\n'
    )
    kept = "WARNING: something else\nBuild failed: could not inspect the builder image\n"
    assert renamed(dropped + kept) == kept


def test_wrong_use_prints_the_usage() -> None:
    command = [sys.executable, ROOT / "engines/user_paths.py", "x"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: user_paths.py CONTEXT" in done.stderr
