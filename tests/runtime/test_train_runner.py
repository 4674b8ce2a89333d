"""The train runner, run as a container runs it, on small applications of the tests' own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, run
from runtime.endpoint import encode

APPLICATION = """
import json

def train(msg):
    with open("seen.json", "w") as file:
        json.dump([msg.payload, msg["payload"], msg.get("payload"), msg.get("other", "none")], file)
    print("trained")
    return {"an answer": "that nobody asked for"}

def predict(msg):
    return {"predictions": [msg.payload]}
"""


def runner(directory: Path, application: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the train runner in a directory whose app.py is `application`."""
    (directory / "app.py").write_text(application)
    entries = {
        f"{role}_{part}": name
        for role, name in (("TRAIN", "train"), ("PREDICT", "predict"))
        for part, name in (("MODULE", "app"), ("FUNCTION", name))
    }
    env = {
        "PYTHONPATH": str(ROOT / "builders"),
        "PYTHONDONTWRITEBYTECODE": "1",
        **entries,
        **variables,
    }
    return run(sys.executable, "-m", "runtime.train", cwd=directory, env=env, seconds=60)


@pytest.mark.parametrize("payload", [{"$ref": "data/a.csv"}, [1, "é", None], "text", 0, None])
def test_train_is_called_with_the_payload_that_reads_three_ways(
    tmp_path: Path, payload: object
) -> None:
    done = runner(tmp_path, APPLICATION, TRAIN="1", PAYLOAD=json.dumps(payload))
    assert (done.returncode, done.stdout, done.stderr) == (0, "trained\n", "")
    assert json.loads((tmp_path / "seen.json").read_text()) == [payload, payload, payload, "none"]


def test_a_train_function_without_payload_gets_none(tmp_path: Path) -> None:
    assert runner(tmp_path, APPLICATION, TRAIN="1").returncode == 0
    assert json.loads((tmp_path / "seen.json").read_text())[0] is None


@pytest.mark.parametrize("train", ["", "0"])
def test_without_train_the_predict_function_answers_on_stdout_alone(
    tmp_path: Path, train: str
) -> None:
    done = runner(tmp_path, APPLICATION, TRAIN=train, PAYLOAD='{"a": [1.5]}')
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        '{"predictions": [{"a": [1.5]}]}\n',
        "",
    )
    assert not (tmp_path / "seen.json").exists()


@pytest.mark.parametrize(
    "text",
    [
        "np.array([[1, 2], [3, 4]])",
        "np.float32(0.1)",
        "np.int64(-3)",
        "np.bool_(True)",
        "np.str_('é')",
        "[0.1, 1e300, -0.0]",
        "{'a': [None, True]}",
        "[1.0, float('nan')]",
        "np.array([np.nan, np.inf])",
    ],
)
def test_the_offline_answer_is_the_daemons(tmp_path: Path, text: str) -> None:
    answer = eval(text, {"np": np})
    done = runner(
        tmp_path, f"import numpy as np\n\ndef predict(msg):\n    return {{'predictions': {text}}}\n"
    )
    assert done.returncode == 0, done.stderr
    assert (
        json.loads(done.stdout, parse_constant=not_json)
        == json.loads(encode({"predictions": answer}))["payload"]
    )


def not_json(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("{", "Expecting property name enclosed in double quotes"),
        ("data/a.csv", "Expecting value"),
        ("{'a': 1}", "Expecting property name enclosed in double quotes"),
        ("{} {}", "Extra data"),
        ('{"a": NaN}', "NaN is not JSON"),
        ("[Infinity]", "Infinity is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("[" * 50_000, "maximum recursion depth exceeded"),
        ("1" * 5_000, "Exceeds the limit"),
        ("\ufeff{}", "Unexpected UTF-8 BOM"),
    ],
    ids=lambda text: text[:20],
)
def test_a_payload_that_is_not_json_is_refused(tmp_path: Path, payload: str, reason: str) -> None:
    done = runner(tmp_path, APPLICATION, TRAIN="1", PAYLOAD=payload)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith(
        f"train: PAYLOAD: expected JSON, found {payload[:60]!r} ({reason}"
    )
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "seen.json").exists()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"TRAIN_MODULE": "none"},
            "TRAIN_MODULE: importing none failed: ModuleNotFoundError(\"No module named 'none'\")",
        ),
        (
            {"TRAIN_MODULE": "app.none"},
            "TRAIN_MODULE: importing app.none failed: ModuleNotFoundError(\"No module named "
            "'app.none'; 'app' is not a package\")",
        ),
        ({"TRAIN_FUNCTION": "none"}, "TRAIN_MODULE: app has no function none"),
        (
            {"TRAIN_MODULE": ""},
            "TRAIN_FUNCTION is set alone; TRAIN_MODULE and TRAIN_FUNCTION go together",
        ),
        (
            {"TRAIN": "", "PREDICT_MODULE": "", "PREDICT_FUNCTION": ""},
            "PREDICT_MODULE is not set; set TRAIN=1 to train, or name the predict function",
        ),
        (
            {"TRAIN": "", "PREDICT_MODULE": "none"},
            "PREDICT_MODULE: importing none failed: "
            "ModuleNotFoundError(\"No module named 'none'\")",
        ),
    ],
)
def test_a_function_that_is_not_there_is_named(
    tmp_path: Path, variables: dict[str, str], message: str
) -> None:
    done = runner(tmp_path, APPLICATION, **{"TRAIN": "1", **variables})
    assert (done.returncode, done.stdout, done.stderr) == (78, "", f"train: {message}\n")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise ValueError('no such thing')", "ValueError: no such thing"),
        ("import json; json.none", "AttributeError: module 'json' has no attribute 'none'"),
        ("int.parse", "AttributeError: type object 'int' has no attribute 'parse'"),
    ],
)
def test_an_error_in_the_function_shows_its_traceback(
    tmp_path: Path, code: str, error: str
) -> None:
    done = runner(tmp_path, f"def train(msg):\n    {code}\n", TRAIN="1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith(f"{error}\n") and 'app.py", line' in done.stderr


@pytest.mark.parametrize("code", ["1 / 0", "int.parse", "def f(:", "raise SystemExit(0)"])
def test_an_application_that_fails_on_import_is_a_configuration_error_with_its_traceback(
    tmp_path: Path, code: str
) -> None:
    done = runner(tmp_path, f"{code}\n", TRAIN="1")
    assert (done.returncode, done.stdout) == (78, "")
    assert "Traceback (most recent call last):\n" in done.stderr
    assert 'app.py", line 1' in done.stderr
    assert done.stderr.splitlines()[-1].startswith("train: TRAIN_MODULE: importing app failed: ")


@pytest.mark.parametrize(
    ("attributes", "code", "stderr"),
    [
        ("exit_code = 78", 78, "train: the column age is missing\n"),
        ("exit_code = 5", 5, "train: the column age is missing\n"),
        ("status = 422", 78, "train: the column age is missing\n"),
        ("other = 1", 1, None),
    ],
)
def test_an_error_for_people_is_one_sentence(
    tmp_path: Path, attributes: str, code: int, stderr: str | None
) -> None:
    application = f"class Wrong(Exception):\n    {attributes}\n\ndef train(msg):\n    raise Wrong('the column age is missing')\n"
    done = runner(tmp_path, application, TRAIN="1")
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == stderr if stderr else done.stderr.startswith("Traceback")


# Root may write anywhere, so the application turns into another user once it is loaded.
WRITES = """
import os

def train(msg):
    if os.getuid() == 0:
        os.setuid(12345)
    open("models/a.pkl", "w").close()
"""


def test_a_folder_that_may_not_be_written_ends_with_the_way_out(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for directory in (tmp_path, models):
        directory.chmod(0o555 if directory == models else 0o755)
    done = runner(tmp_path, WRITES, TRAIN="1")
    uid = os.getuid() or 12345
    assert (done.returncode, done.stdout, done.stderr) == (
        77,
        "",
        f"train: models/a.pkl: Permission denied for user {uid}:{os.getgid()}; "
        "give the folder to that user, or to group 0 with `chgrp 0` and `chmod g+w`\n",
    )
    models.chmod(0o777)
    assert runner(tmp_path, WRITES, TRAIN="1").returncode == 0


def test_a_permission_error_without_a_file_keeps_its_words(tmp_path: Path) -> None:
    done = runner(
        tmp_path,
        "def train(msg):\n    raise PermissionError('the licence has expired')\n",
        TRAIN="1",
    )
    assert done.returncode == 77
    assert "the licence has expired" in done.stderr and "None" not in done.stderr


def test_an_application_that_ends_itself_keeps_its_exit_code(tmp_path: Path) -> None:
    assert runner(tmp_path, "def train(msg):\n    raise SystemExit(3)\n", TRAIN="1").returncode == 3


def test_the_application_is_imported_from_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "inner.py").write_text(
        "def train(msg):\n    print(open('here').read())\n"
    )
    (tmp_path / "here").write_text("relative")
    variables: dict[str, Any] = {"TRAIN": "1", "TRAIN_MODULE": "package.inner"}
    assert runner(tmp_path, APPLICATION, **variables).stdout == "relative\n"
    (tmp_path / "package" / "inner.py").unlink()
    assert runner(tmp_path, APPLICATION, **variables).returncode == 78
