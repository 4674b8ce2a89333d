"""The train runner, run as a container runs it, on small applications."""

import json
import os
import re
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from runtime.endpoint import decode, encode
from support.commands import ROOT, Completed, run
from support.terminal import on_terminal

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
    # The standard input is the file `input`, if there is one.
    program = '[ ! -e input ] || exec <input; exec "$0" -m runtime.train'
    return run("bash", "-c", program, sys.executable, cwd=directory, env=environment, seconds=60)


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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_payload_is_read_from_a_file_or_from_standard_input(tmp_path: Path, encoding: str) -> None:
    # A variable has a limit of 128 kB on Linux.
    payload = ["\u00fc" * 200_000]
    file = tmp_path / "payload.json"
    file.write_text(json.dumps(payload, ensure_ascii=False), encoding=encoding)
    for value in ("@payload.json", "-"):
        (tmp_path / "readings.json").unlink(missing_ok=True)
        assert run_application(tmp_path, APPLICATION, TRAIN="1", PAYLOAD=value).returncode == 0
        assert readings_in(tmp_path) == [payload, payload, payload, "none"]
        (tmp_path / "input").write_bytes(file.read_bytes())

    with pytest.raises(OSError, match="Argument list too long"):
        run_application(tmp_path, APPLICATION, TRAIN="1", PAYLOAD=json.dumps(payload))


@pytest.mark.parametrize("name", ["none.json", "."])
def test_payload_of_a_file_that_cannot_be_read_names_the_file(tmp_path: Path, name: str) -> None:
    done = run_application(tmp_path, APPLICATION, TRAIN="1", PAYLOAD=f"@{name}")
    assert done.returncode == 78
    assert done.stderr.startswith(f"train: PAYLOAD=@{name}: ")
    assert done.stderr.endswith(". Name a JSON file.\n")


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
    program = "train" if variables.get("TRAIN", "1") else "predict-once"
    assert done.stderr == f"{program}: {message}\n"


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


def test_runner_warns_of_a_misspelled_variable(tmp_path: Path) -> None:
    application = train_function("return {}")
    done = run_application(tmp_path, application, TRAIN="1", PAYLAOD="{}")
    assert done.returncode == 0
    warning = "PAYLAOD is not known and has no effect. Did you mean PAYLOAD?"
    assert done.stderr == f"train: {warning}\n"

    assert run_application(tmp_path, application, TRAIN="1", PAYLOAD="{}").stderr == ""


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


# A prediction without a server


@pytest.mark.parametrize("other_keys", [{}, {"expected": [0, 1]}])
def test_prediction_accepts_the_body_of_a_request(
    tmp_path: Path, other_keys: dict[str, object]
) -> None:
    body = json.dumps({"payload": {"instances": [[1]]}, **other_keys})
    done = run_application(tmp_path, APPLICATION, PAYLOAD=body)

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"predictions": [{"instances": [[1]]}]}
    assert json.loads(encode({"predictions": [decode(body.encode()).payload]})) == {
        "payload": json.loads(done.stdout)
    }


def test_training_gets_a_payload_with_the_key_payload_unchanged(tmp_path: Path) -> None:
    payload = {"payload": {"$ref": "data/a.csv"}}
    run_application(tmp_path, APPLICATION, TRAIN="1", PAYLOAD=json.dumps(payload))
    assert readings_in(tmp_path) == [payload, payload, payload, "none"]


@pytest.mark.parametrize(
    ("application", "variables", "message"),
    [
        (APPLICATION, {"PAYLOAD": "{"}, "PAYLOAD: expected JSON, found '{'"),
        (APPLICATION, {"PREDICT_FUNCTION": "none"}, "PREDICT_MODULE: app has no function none"),
        ("class Wrong(Exception):\n    status = 422\n\n", {}, "the row is wrong"),
        ("Wrong = MemoryError\n", {}, "out of memory (the row is wrong)"),
    ],
)
def test_errors_of_a_prediction_name_predict_once(
    tmp_path: Path, application: str, variables: dict[str, str], message: str
) -> None:
    if application is not APPLICATION:
        application += "def predict(msg):\n    raise Wrong('the row is wrong')\n"
    done = run_application(tmp_path, application, **variables)
    assert done.stdout == ""
    assert done.stderr.startswith(f"predict-once: {message}")
    assert done.stderr.count("\n") == 1


# Programs, libraries and C write to the descriptor 1, and not to sys.stdout.
PRINTING_APPLICATION = """
import ctypes, os, subprocess, sys
print("at import")

def train(msg):
    {statement}
    return {{"predictions": [1]}}

predict = train
"""
PRINTS = (
    "print('noise')",
    "sys.stdout.write('noise')",
    "sys.__stdout__.write('noise')",
    "os.write(1, b'noise')",
    "os.system('echo noise')",
    "subprocess.run(['echo', 'noise'])",
    "libc = ctypes.CDLL(None); libc.puts(b'noise'); libc.fflush(None)",
    "os.fork() or (print('noise'), os._exit(0)); os.wait()",
    "print('noise'); sys.stdout.close()",
    "print('noise'); os.close(1)",
    "print('noise'); sys.stdout = None",
)


@pytest.mark.parametrize("statement", PRINTS)
def test_stdout_of_a_prediction_is_only_the_answer(tmp_path: Path, statement: str) -> None:
    application = PRINTING_APPLICATION.format(statement=statement)
    done = run_application(tmp_path, application, PYTHONUNBUFFERED="1")

    assert (done.returncode, done.stdout) == (0, '{"predictions": [1]}\n')
    assert done.stderr.startswith("at import\n")
    assert "noise" in done.stderr


def test_prints_of_a_training_stay_in_stdout(tmp_path: Path) -> None:
    application = PRINTING_APPLICATION.format(statement="print('noise')")
    done = run_application(tmp_path, application, TRAIN="1")
    assert (done.stdout, done.stderr) == ("at import\nnoise\n", "")


@pytest.mark.parametrize("exit_code", [0, 3])
def test_prediction_that_exits_is_a_failure(tmp_path: Path, exit_code: int) -> None:
    application = f"def predict(msg):\n    raise SystemExit({exit_code})\n"
    done = run_application(tmp_path, application)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("RuntimeError: the predict function ended without an answer\n")


@pytest.mark.parametrize("train", ["", "1"])
def test_runner_waits_for_an_async_function(tmp_path: Path, train: str) -> None:
    application = (
        "import asyncio, sys\n\n"
        "async def train(msg):\n"
        "    await asyncio.sleep(0)\n"
        "    print('done', file=sys.stderr)\n"
        "    return {'predictions': [msg.payload]}\n\n"
        "predict = train\n"
    )
    done = run_application(tmp_path, application, TRAIN=train, PAYLOAD="2")

    assert (done.returncode, done.stderr) == (0, "done\n")
    assert done.stdout == ("" if train else '{"predictions": [2]}\n')


# The length of messages

LONG = "'first' + 'x' * 1_512_935 + 'last'"


@pytest.mark.parametrize(
    ("error", "prefix", "suffix"),
    [
        (f"MemoryError({LONG})", "train: out of memory (firstx", "or fewer rows.\n"),
        (f"PermissionError({LONG})", "train: firstx", "`chmod g+w`.\n"),
        (f"OSError(28, {LONG})", "train: [Errno 28] firstx", "another folder there.\n"),
        (f"ValueError({LONG})", "Traceback (most recent call last):\n", "xlast\n"),
        (f"type('Wrong', (Exception,), {{'exit_code': 5}})({LONG})", "train: firstx", "xlast\n"),
    ],
)
def test_long_message_is_truncated(tmp_path: Path, error: str, prefix: str, suffix: str) -> None:
    done = run_application(tmp_path, train_function(f"raise {error}"), TRAIN="1")
    assert done.stderr.startswith(prefix)
    assert done.stderr.endswith(suffix)
    assert " characters more) …" in done.stderr
    assert len(done.stderr) < 11_000


def test_long_message_of_a_failed_import_is_truncated(tmp_path: Path) -> None:
    done = run_application(tmp_path, f"raise ValueError({LONG})\n", TRAIN="1")
    assert done.returncode == CONFIGURATION_ERROR
    assert "train: TRAIN_MODULE: importing app failed: ValueError('firstx" in done.stderr
    assert len(done.stderr) < 13_000


# Ctrl-C


@pytest.mark.parametrize(("train", "program"), [("1", "train"), ("", "predict-once")])
@pytest.mark.parametrize("during_import", [True, False])
def test_ctrl_c_prints_one_line(
    tmp_path: Path, train: str, program: str, during_import: bool
) -> None:
    wait = "import time\nprint('waiting', flush=True)\ntime.sleep(60)\n"
    body = "".join(f"    {line}\n" for line in wait.splitlines())
    functions = f"def train(msg):\n{body}\npredict = train\n"
    (tmp_path / "app.py").write_text(f"{wait if during_import else ''}{functions}")
    env = {
        "PYTHONPATH": str(ROOT / "builders"),
        "TRAIN": train,
        "TRAIN_MODULE": "app",
        "TRAIN_FUNCTION": "train",
        "PREDICT_MODULE": "app",
        "PREDICT_FUNCTION": "predict",
    }
    command = (sys.executable, "-m", "runtime.train")
    assert interrupted(tmp_path, *command, **env) == (130, f"^C{program}: interrupted\n")


def test_ctrl_c_without_the_runner_prints_a_traceback(tmp_path: Path) -> None:
    script = "import time\nprint('waiting', flush=True)\ntime.sleep(60)\n"
    exit_code, output = interrupted(tmp_path, sys.executable, "-c", script)
    assert exit_code != 130
    assert "Traceback" in output


def interrupted(tmp_path: Path, *command: str, **variables: str) -> tuple[int, str]:
    """Press Ctrl-C once a program waits; return its exit code and what it prints then."""
    with on_terminal(*command, cwd=tmp_path, env=variables) as runner:
        runner.read_until("waiting\n")
        runner.press_ctrl_c()
        return runner.finish()
