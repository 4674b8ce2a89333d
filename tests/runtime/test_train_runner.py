"""The train runner, run as a container runs it, on small applications."""

import json
import os
import re
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from runtime.endpoint import encode
from support.commands import ROOT, Completed, run

APPLICATION = """
import json

def train(msg):
    readings = [msg.payload, msg["payload"], msg.get("payload"), msg.get("other", "none")]
    with open("readings.json", "w") as file:
        json.dump(readings, file)
    print("trained")
    return {"an answer": "that the runner drops"}

def predict(msg):
    return {"predictions": [msg.payload]}
"""
# Root may write everywhere. Therefore this application changes to another user after loading.
WRITING_APPLICATION = """
import os

def train(msg):
    if os.getuid() == 0:
        os.setuid(12345)
    open("models/a.pkl", "w").close()
"""
CONFIGURATION_ERROR = 78
PERMISSION_ERROR = 77
# Since Python 3.14, the size of the stack limits the nesting of JSON, and 50,000 levels fit.
TOO_DEEP = "maximum recursion depth exceeded"
if sys.version_info >= (3, 14):
    TOO_DEEP = "Expecting value"


def train_function(statement: str) -> str:
    """Return an application whose train function is one statement."""
    return f"def train(msg):\n    {statement}\n"


def run_application(directory: Path, application: str, **variables: str) -> Completed:
    """Run the train runner in a directory whose app.py is `application`."""
    (directory / "app.py").write_text(application)
    environment = {
        "PYTHONPATH": str(ROOT / "builders"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TRAIN_MODULE": "app",
        "TRAIN_FUNCTION": "train",
        "PREDICT_MODULE": "app",
        "PREDICT_FUNCTION": "predict",
        **variables,
    }
    return run(sys.executable, "-m", "runtime.train", cwd=directory, env=environment, seconds=60)


def readings_in(directory: Path) -> list[object]:
    """Return the values that APPLICATION's train function has read from its message."""
    readings: list[object] = json.loads((directory / "readings.json").read_text())
    return readings


def reject_constant(constant: str) -> NoReturn:
    """Fail on NaN and the infinities, which JSON doesn't have."""
    raise AssertionError(f"{constant} is not JSON")


@pytest.mark.parametrize("payload", [{"$ref": "data/a.csv"}, [1, "é", None], "text", 0, None])
def test_train_function_can_read_the_payload_in_three_ways(tmp_path: Path, payload: object) -> None:
    done = run_application(tmp_path, APPLICATION, TRAIN="1", PAYLOAD=json.dumps(payload))

    assert done.returncode == 0
    assert done.stdout == "trained\n"
    assert done.stderr == ""
    assert readings_in(tmp_path) == [payload, payload, payload, "none"]


def test_train_function_gets_none_without_payload(tmp_path: Path) -> None:
    done = run_application(tmp_path, APPLICATION, TRAIN="1")

    assert done.returncode == 0
    assert readings_in(tmp_path) == [None, None, None, "none"]


@pytest.mark.parametrize("train", ["", "0"])
def test_runner_prints_only_the_prediction_without_train(tmp_path: Path, train: str) -> None:
    done = run_application(tmp_path, APPLICATION, TRAIN=train, PAYLOAD='{"a": [1.5]}')

    assert done.returncode == 0
    assert done.stdout == '{"predictions": [{"a": [1.5]}]}\n'
    assert done.stderr == ""
    assert not (tmp_path / "readings.json").exists()


@pytest.mark.parametrize(
    "expression",
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
def test_runner_prints_the_answer_that_the_server_sends(tmp_path: Path, expression: str) -> None:
    application = (
        f"import numpy as np\n\ndef predict(msg):\n    return {{'predictions': {expression}}}\n"
    )
    done = run_application(tmp_path, application)
    assert done.returncode == 0, done.stderr

    answer = {"predictions": eval(expression, {"np": np})}
    sent_by_server = json.loads(encode(answer))["payload"]
    assert json.loads(done.stdout, parse_constant=reject_constant) == sent_by_server


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
        ("[" * 50_000, TOO_DEEP),
        ("1" * 5_000, "Exceeds the limit"),
        ("\ufeff{}", "Unexpected UTF-8 BOM"),
    ],
    ids=lambda text: text[:20],
)
def test_runner_rejects_payload_that_is_not_json(tmp_path: Path, payload: str, reason: str) -> None:
    done = run_application(tmp_path, APPLICATION, TRAIN="1", PAYLOAD=payload)

    message = f"train: PAYLOAD: expected JSON, found {payload[:60]!r} ({reason}"
    assert done.returncode == CONFIGURATION_ERROR
    assert done.stdout == ""
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "readings.json").exists()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"TRAIN_MODULE": "none"},
            "TRAIN_MODULE: importing none failed: ModuleNotFoundError(\"No module named 'none'\")",
        ),
        (
            {"TRAIN_MODULE": "app.none"},
            'TRAIN_MODULE: importing app.none failed: ModuleNotFoundError("No module named '
            "'app.none'; 'app' is not a package\")",
        ),
        ({"TRAIN_FUNCTION": "none"}, "TRAIN_MODULE: app has no function none"),
        (
            {"TRAIN_MODULE": ""},
            "TRAIN_FUNCTION is set alone. TRAIN_MODULE and TRAIN_FUNCTION belong together.",
        ),
        (
            {"TRAIN": "", "PREDICT_MODULE": "", "PREDICT_FUNCTION": ""},
            "PREDICT_MODULE is not set. "
            "Set TRAIN=1 to train, or set PREDICT_MODULE and PREDICT_FUNCTION.",
        ),
        (
            {"TRAIN": "", "PREDICT_MODULE": "none"},
            "PREDICT_MODULE: importing none failed: "
            "ModuleNotFoundError(\"No module named 'none'\")",
        ),
    ],
)
def test_runner_names_the_function_that_is_missing(
    tmp_path: Path, variables: dict[str, str], message: str
) -> None:
    done = run_application(tmp_path, APPLICATION, **{"TRAIN": "1", **variables})

    assert done.returncode == CONFIGURATION_ERROR
    assert done.stdout == ""
    assert done.stderr == f"train: {message}\n"


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise ValueError('no such thing')", "ValueError: no such thing"),
        ("import json; json.none", "AttributeError: module 'json' has no attribute 'none'"),
        ("int.parse", "AttributeError: type object 'int' has no attribute 'parse'"),
    ],
)
def test_runner_prints_the_traceback_of_an_error_in_the_function(
    tmp_path: Path, statement: str, error: str
) -> None:
    done = run_application(tmp_path, train_function(statement), TRAIN="1")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert 'app.py", line' in done.stderr
    assert done.stderr.endswith(f"{error}\n")


@pytest.mark.parametrize("statement", ["1 / 0", "int.parse", "def f(:", "raise SystemExit(0)"])
def test_runner_reports_a_failed_import_with_its_traceback(tmp_path: Path, statement: str) -> None:
    done = run_application(tmp_path, f"{statement}\n", TRAIN="1")

    assert done.returncode == CONFIGURATION_ERROR
    assert done.stdout == ""
    assert "Traceback (most recent call last):\n" in done.stderr
    assert 'app.py", line 1' in done.stderr
    last_line = done.stderr.splitlines()[-1]
    assert last_line.startswith("train: TRAIN_MODULE: importing app failed: ")


@pytest.mark.parametrize(
    ("attribute", "exit_code", "output_pattern"),
    [
        ("exit_code = 78", CONFIGURATION_ERROR, r"train: the column age is missing\n"),
        ("exit_code = 5", 5, r"train: the column age is missing\n"),
        ("status = 422", CONFIGURATION_ERROR, r"train: the column age is missing\n"),
        ("other = 1", 1, r"Traceback(.|\n)*"),
    ],
)
def test_runner_prints_one_sentence_for_an_error_with_exit_code_or_status(
    tmp_path: Path, attribute: str, exit_code: int, output_pattern: str
) -> None:
    application = (
        "class Wrong(Exception):\n"
        f"    {attribute}\n\n"
        "def train(msg):\n"
        "    raise Wrong('the column age is missing')\n"
    )
    done = run_application(tmp_path, application, TRAIN="1")

    assert done.returncode == exit_code
    assert done.stdout == ""
    assert re.fullmatch(output_pattern, done.stderr)


def test_runner_advises_how_to_make_a_folder_writable(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    # The other user must be able to enter pytest's folder.
    tmp_path.chmod(0o755)

    models.chmod(0o555)
    done = run_application(tmp_path, WRITING_APPLICATION, TRAIN="1")

    uid = os.getuid() or 12345
    assert done.returncode == PERMISSION_ERROR
    assert done.stdout == ""
    assert done.stderr == (
        f"train: models/a.pkl: Permission denied for user {uid}:{os.getgid()}. "
        "Give the folder to that user, or to group 0 with `chgrp 0` and `chmod g+w`.\n"
    )

    models.chmod(0o777)
    done = run_application(tmp_path, WRITING_APPLICATION, TRAIN="1")
    assert done.returncode == 0, done.stderr


def test_runner_prints_the_text_of_a_permission_error_without_a_file(tmp_path: Path) -> None:
    application = train_function("raise PermissionError('the licence has expired')")
    done = run_application(tmp_path, application, TRAIN="1")

    assert done.returncode == PERMISSION_ERROR
    assert "the licence has expired" in done.stderr
    assert "None" not in done.stderr


def test_runner_keeps_the_exit_code_of_an_application_that_exits(tmp_path: Path) -> None:
    done = run_application(tmp_path, train_function("raise SystemExit(3)"), TRAIN="1")

    assert done.returncode == 3


def test_runner_imports_the_application_from_the_working_directory(tmp_path: Path) -> None:
    module = tmp_path / "package" / "inner.py"
    module.parent.mkdir()
    module.write_text(train_function("print(open('here').read())"))
    (tmp_path / "here").write_text("relative")

    done = run_application(tmp_path, APPLICATION, TRAIN="1", TRAIN_MODULE="package.inner")
    assert done.stdout == "relative\n"

    module.unlink()
    done = run_application(tmp_path, APPLICATION, TRAIN="1", TRAIN_MODULE="package.inner")
    assert done.returncode == CONFIGURATION_ERROR
