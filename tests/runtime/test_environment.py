"""`.s2i/environment`: how s2i reads it, and how its errors are reported."""

import ast
import sys
from pathlib import Path

import pytest
from runtime.environment import (
    KNOWN,
    MAX_LINE_BYTES,
    Route,
    check,
    check_file,
    parse_routes,
    read,
    suggest_key,
)
from runtime.settings import SETTINGS, ConfigurationError
from support.commands import ROOT, Completed, run
from support.network import free_port

MODULE = ROOT / "builders/runtime/environment.py"
READER = ("-m", "runtime.environment")
BUILDERS = {"PYTHONPATH": str(ROOT / "builders")}
CONFIGURATION_ERROR = 78
ENVIRONMENT_FILES = sorted(ROOT.glob("*/.s2i/environment"))
FORM = "expected route:module:function, several joined by commas"
PARTS = "expected letters, digits and . _ ~ - in parts joined by /"
TRAIN = b"TRAIN_MODULE=m\nTRAIN_FUNCTION=f\n"


def write_environment(directory: Path, content: bytes) -> Path:
    """Write an environment file and return its path."""
    path = directory / "environment"
    path.write_bytes(content)
    return path


def read_with(*arguments: object, **variables: str) -> Completed:
    """Run the reader as build.sh and assemble do."""
    return run(sys.executable, *READER, *arguments, env={**BUILDERS, **variables})


def malformed(line: str) -> str:
    """Return the error message for a first line that is not KEY=value."""
    return f", line 1: expected KEY=value, found {line!r}. s2i would drop this line."


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", {}),
        (b"# a comment\n#B=1\n\n  \n", {}),
        (b"A=1", {"A": "1"}),
        (b"A=1\nB=2\n", {"A": "1", "B": "2"}),
        (b"  A =  x y  \n", {"A": "x y"}),
        (b"\tA\t=\t1\t\r\n", {"A": "1"}),
        (b"A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        (b"A=b=c==\n", {"A": "b=c=="}),
        (b"A=1 # no comment\n", {"A": "1 # no comment"}),
        (b"A=#1\n", {"A": "#1"}),
        (b"A=\n", {"A": ""}),
        (b"A='1'\nB=\"2\"\n", {"A": "'1'", "B": '"2"'}),
        (b"A=$HOME `id` \\n\n", {"A": "$HOME `id` \\n"}),
        ("A=é\n".encode(), {"A": "é"}),
        (
            b"A=" + b"x" * (MAX_LINE_BYTES - 3) + b"\nB=1\n",
            {"A": "x" * (MAX_LINE_BYTES - 3), "B": "1"},
        ),
        (
            b"ANYTHING=1\nGIT_COMMIT=unknown\nPORT=5000\n",
            {"ANYTHING": "1", "GIT_COMMIT": "unknown", "PORT": "5000"},
        ),
    ],
)
def test_reader_reads_lines_as_s2i_does(
    tmp_path: Path, content: bytes, expected: dict[str, str]
) -> None:
    assert read(write_environment(tmp_path, content)) == expected


UNREADABLE = [
    ("a malformed line", b"ROUTES\n", malformed("ROUTES")),
    ("a colon for an equals sign", b"ROUTES: p:m:f\n", malformed("ROUTES: p:m:f")),
    ("no key", b"=p:m:f\n", malformed("=p:m:f")),
    ("a space in a key", b"TRAIN MODULE=m\n", malformed("TRAIN MODULE=m")),
    ("export", b"export ROUTES=p:m:f\n", malformed("export ROUTES=p:m:f")),
    ("a hyphen in a key", b"TRAIN-MODULE=m\n", malformed("TRAIN-MODULE=m")),
    ("a digit before a key", b"1A=m\n", malformed("1A=m")),
    ("an indented comment", b" # ROUTES=p:m:f\n", malformed(" # ROUTES=p:m:f")),
    ("a byte order mark", b"\xef\xbb\xbfROUTES=p:m:f\n", malformed("\ufeffROUTES=p:m:f")),
    ("a long malformed line", b"x" * 99 + b"\n", malformed("x" * 60)),
    ("a NUL in a key", b"A\0=1\n", malformed("A\0=1")),
    ("a NUL in a value", b"A=\0\n", ", line 1: A has a NUL character"),
    ("no UTF-8", b"A=\xff\n", ", line 1: is not UTF-8 text"),
    ("UTF-16", "A=1\n".encode("utf-16"), ", line 1: is not UTF-8 text"),
    (
        "a key twice",
        b"A=1\n\nA=2\n",
        ", line 3: A is set twice. s2i would use the last one. Keep one.",
    ),
    (
        "a line of 64 KiB",
        b"A=1\nB=" + b"x" * (MAX_LINE_BYTES - 2) + b"\n",
        ", line 2: 65536 bytes. s2i drops this line and all after it.",
    ),
]
MISSPELT = [
    ("Routes", "ROUTES"),
    ("routes", "ROUTES"),
    ("ROUTE", "ROUTES"),
    ("ROUTESS", "ROUTES"),
    ("ROTUES", "ROUTES"),
    ("TRAIN_MODUL", "TRAIN_MODULE"),
    ("TRIAN_MODULE", "TRAIN_MODULE"),
    ("train_function", "TRAIN_FUNCTION"),
    ("TRAINFUNCTION", "TRAIN_FUNCTION"),
    ("PREDICT_FUNCTON", "PREDICT_FUNCTION"),
    ("PREDICT_MODULES", "PREDICT_MODULE"),
    ("MODEL_NAMES", "MODEL_NAME"),
    ("model_name", "MODEL_NAME"),
    ("MODELNAME", "MODEL_NAME"),
    ("PAYLAOD", "PAYLOAD"),
    ("WORKER", "WORKERS"),
    ("Workers", "WORKERS"),
    ("WROKERS", "WORKERS"),
    ("port", "PORT"),
    ("Host", "HOST"),
    ("train", "TRAIN"),
    ("MAX_ROW", "MAX_ROWS"),
    ("DRAIN_SECOND", "DRAIN_SECONDS"),
    ("DRAINSECONDS", "DRAIN_SECONDS"),
    ("API_KEY_FILES", "API_KEY_FILE"),
    ("LOG_FROMAT", "LOG_FORMAT"),
    ("MODEL_HMAC_KEYFILE", "MODEL_HMAC_KEY_FILE"),
]
# Sensible keys of users and of other software. The last line has those within a letter of a known
# key: a short known key, or a key that consists of known words.
OWN_KEYS = """
ROUTER_IP MODEL_DIR TRAINING TRAIN_ROWS P LD_PRELOAD HOSTNAME WORKER_NAME WORKER_CLASS WEB_WORKERS
MAX_WAIT MIN_ROWS BODY LOG_LEVEL LOG_FILE ACCESS_KEY API_KEY MODEL_KEY_FILE OMP_NUM_THREADS
http_proxy no_proxy TZ LANG
PORTS PORT1 POST SORT HOSTS HOST1 COST GHOST DRAIN TRAINS BRAIN TRAIN_SECONDS
""".split()


@pytest.mark.parametrize(("name", "content", "problem"), UNREADABLE)
def test_reader_rejects_a_line_that_s2i_would_drop_or_change(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    path = write_environment(tmp_path, content)

    with pytest.raises(ConfigurationError) as error:
        read(path)

    assert str(error.value) == f"{path}{problem}"


@pytest.mark.parametrize(("key", "meant"), MISSPELT)
def test_reader_rejects_a_misspelt_key(tmp_path: Path, key: str, meant: str) -> None:
    path = write_environment(tmp_path, f"{key}=1\n".encode())

    with pytest.raises(ConfigurationError) as error:
        read(path)

    assert str(error.value) == f"{path}, line 1: {key} is not known. Did you mean {meant}?"


@pytest.mark.parametrize("setting", [setting.name for setting in SETTINGS])
def test_reader_suggests_every_setting_of_the_server(setting: str) -> None:
    assert suggest_key(setting) == ""
    assert suggest_key(setting.lower()) == setting


@pytest.mark.parametrize("key", [*KNOWN, *OWN_KEYS])
def test_reader_accepts_known_keys_and_keys_unlike_them(tmp_path: Path, key: str) -> None:
    path = write_environment(tmp_path, f"{key}=1\n".encode())

    assert read(path) == {key: "1"}


USED_BY_BUILDER = "the name 'runtime' is used by the builder. Rename your module."
QUOTES = "quotes are part of the value. Remove them."
NO_TRAIN = "TRAIN_MODULE and TRAIN_FUNCTION are not set. A train image needs them."
INVALID = [
    ("train", b"", NO_TRAIN),
    (
        "train",
        b"TRAIN_MODULE=\nTRAIN_FUNCTION=\n",
        NO_TRAIN,
    ),
    (
        "train",
        b"ROUTES=p:m:f\n",
        NO_TRAIN,
    ),
    (
        "train",
        b"TRAIN_MODULE=m\n",
        "TRAIN_MODULE is set alone. TRAIN_MODULE and TRAIN_FUNCTION belong together.",
    ),
    (
        "train",
        b"TRAIN_FUNCTION=f\n",
        "TRAIN_FUNCTION is set alone. TRAIN_MODULE and TRAIN_FUNCTION belong together.",
    ),
    (
        "train",
        TRAIN + b"PREDICT_MODULE=m\n",
        "PREDICT_MODULE is set alone. PREDICT_MODULE and PREDICT_FUNCTION belong together.",
    ),
    ("train", b"TRAIN_MODULE='m'\nTRAIN_FUNCTION=f\n", f"TRAIN_MODULE='m': {QUOTES}"),
    ("train", b'TRAIN_MODULE=m\nTRAIN_FUNCTION="f"\n', f'TRAIN_FUNCTION="f": {QUOTES}'),
    ("train", b"TRAIN_MODULE=`m`\nTRAIN_FUNCTION=f\n", f"TRAIN_MODULE=`m`: {QUOTES}"),
    (
        "train",
        b"TRAIN_MODULE=m/train.py\nTRAIN_FUNCTION=f\n",
        "TRAIN_MODULE=m/train.py: "
        "expected a module such as package.module in 'm/train.py', found 'm/train'",
    ),
    (
        "train",
        b"TRAIN_MODULE=.train\nTRAIN_FUNCTION=f\n",
        "TRAIN_MODULE=.train: expected a module such as package.module in '.train', found ''",
    ),
    (
        "train",
        b"TRAIN_MODULE=m\nTRAIN_FUNCTION=f()\n",
        "TRAIN_FUNCTION=f(): expected a function's name, found 'f()'",
    ),
    (
        "train",
        b"TRAIN_MODULE=m\nTRAIN_FUNCTION=a.b\n",
        "TRAIN_FUNCTION=a.b: expected a function's name, found 'a.b'",
    ),
    (
        "train",
        b"TRAIN_MODULE=runtime.train\nTRAIN_FUNCTION=f\n",
        f"TRAIN_MODULE=runtime.train: {USED_BY_BUILDER}",
    ),
    ("predict", TRAIN, f"ROUTES is not set: {FORM}"),
    ("predict", b"ROUTES=\n", f"ROUTES is not set: {FORM}"),
    ("predict", b"ROUTES='p:m:f'\n", f"ROUTES='p:m:f': {QUOTES}"),
    ("predict", b"MODElNAME='x'\nROUTES=p:m:f\n", f"MODElNAME='x': {QUOTES}"),
    ("predict", b"ROUTES=p\n", f"ROUTES: entry 'p': {FORM}"),
    ("predict", b"ROUTES=p:m\n", f"ROUTES: entry 'p:m': {FORM}"),
    ("predict", b"ROUTES=p:m:\n", f"ROUTES: entry 'p:m:': {FORM}"),
    ("predict", b"ROUTES=:m:f\n", f"ROUTES: entry ':m:f': {FORM}"),
    ("predict", b"ROUTES=p: :f\n", f"ROUTES: entry 'p: :f': {FORM}"),
    ("predict", b"ROUTES=p:m:f:g\n", f"ROUTES: entry 'p:m:f:g': {FORM}"),
    ("predict", b"ROUTES=http://h/p:m:f\n", f"ROUTES: entry 'http://h/p:m:f': {FORM}"),
    ("predict", b"ROUTES=p:m:f,\n", f"ROUTES: entry '': {FORM}"),
    ("predict", b"ROUTES=p:m:f,,q:m:f\n", f"ROUTES: entry '': {FORM}"),
    ("predict", b"ROUTES=p:m:f q:m:f\n", f"ROUTES: entry 'p:m:f q:m:f': {FORM}"),
    ("predict", b"ROUTES=p:m:f,q:m:f,p:n:g\n", "ROUTES: entry 'p:n:g': route p is used twice"),
    ("predict", b"ROUTES=p:m:f,/p:m:f\n", "ROUTES: entry '/p:m:f': route p is used twice"),
    ("predict", b"ROUTES=p q:m:f\n", f"ROUTES: entry 'p q:m:f': route 'p q': {PARTS}"),
    ("predict", b"ROUTES=../p:m:f\n", f"ROUTES: entry '../p:m:f': route '../p': {PARTS}"),
    ("predict", b"ROUTES=p/../q:m:f\n", f"ROUTES: entry 'p/../q:m:f': route 'p/../q': {PARTS}"),
    ("predict", b"ROUTES=p//q:m:f\n", f"ROUTES: entry 'p//q:m:f': route 'p//q': {PARTS}"),
    ("predict", b"ROUTES=p?x=1:m:f\n", f"ROUTES: entry 'p?x=1:m:f': route 'p?x=1': {PARTS}"),
    ("predict", b"ROUTES=<p>:m:f\n", f"ROUTES: entry '<p>:m:f': route '<p>': {PARTS}"),
    ("predict", b"ROUTES=p%20q:m:f\n", f"ROUTES: entry 'p%20q:m:f': route 'p%20q': {PARTS}"),
    ("predict", "ROUTES=é:m:f\n".encode(), f"ROUTES: entry 'é:m:f': route 'é': {PARTS}"),
    (
        "predict",
        b"ROUTES=p:my-model.predict:f\n",
        "ROUTES: entry 'p:my-model.predict:f': "
        "expected a module such as package.module in 'my-model.predict', found 'my-model'",
    ),
    (
        "predict",
        b"ROUTES=p:a..b:f\n",
        "ROUTES: entry 'p:a..b:f': expected a module such as package.module in 'a..b', found ''",
    ),
    (
        "predict",
        b"ROUTES=p:a.class:f\n",
        "ROUTES: entry 'p:a.class:f': "
        "expected a module such as package.module in 'a.class', found 'class'",
    ),
    (
        "predict",
        b"ROUTES=p:m:my-f\n",
        "ROUTES: entry 'p:m:my-f': expected a function's name, found 'my-f'",
    ),
    ("predict", b"ROUTES=p:m:1\n", "ROUTES: entry 'p:m:1': expected a function's name, found '1'"),
    (
        "predict",
        b"ROUTES=p:m:lambda\n",
        "ROUTES: entry 'p:m:lambda': expected a function's name, found 'lambda'",
    ),
    (
        "predict",
        b"ROUTES=p:runtime:f\n",
        f"ROUTES: entry 'p:runtime:f': {USED_BY_BUILDER}",
    ),
]
RESERVED = """
/ health ready metrics openapi.json docs v2/x v2 /health health/ metrics/mine docs/a/b static/x
""".split()


@pytest.mark.parametrize(("role", "content", "problem"), INVALID)
def test_check_rejects_variables_that_make_no_image(
    tmp_path: Path, role: str, content: bytes, problem: str
) -> None:
    path = write_environment(tmp_path, content)

    with pytest.raises(ConfigurationError) as error:
        check_file(path, role)

    assert str(error.value) == f"{path}: {problem}"


@pytest.mark.parametrize("route", RESERVED)
def test_parser_rejects_a_route_that_the_server_needs(route: str) -> None:
    entry = f"{route}:m:f"

    with pytest.raises(ConfigurationError) as error:
        parse_routes(entry)

    path = f"/{route.strip('/')}"
    reserved = f"{path} is reserved for the server. Choose another route."
    assert str(error.value) == f"ROUTES: entry {entry!r}: {reserved}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p:m:f", [("p", "m", "f")]),
        ("/p:m:f", [("p", "m", "f")]),
        ("  p : m.n : f  ,  /q/r : m : g ", [("p", "m.n", "f"), ("q/r", "m", "g")]),
        ("A_1~-.x/v2/predict:_m:_f", [("A_1~-.x/v2/predict", "_m", "_f")]),
        (
            "healthy:m:f,v2x:m:f,documents:m:f",
            [("healthy", "m", "f"), ("v2x", "m", "f"), ("documents", "m", "f")],
        ),
        ("p:runtimes.x:f", [("p", "runtimes.x", "f")]),
    ],
)
def test_parser_splits_and_trims_routes_in_their_order(
    text: str, expected: list[tuple[str, str, str]]
) -> None:
    assert parse_routes(text) == [Route(*parts) for parts in expected]


def test_check_accepts_quotes_in_the_payload_only() -> None:
    variables = {"TRAIN_MODULE": "m", "TRAIN_FUNCTION": "f", "PAYLOAD": '{"a": "b"}'}
    assert check(variables, "train") == []

    with pytest.raises(ConfigurationError, match="^TRAIN='1': quotes are part"):
        check({**variables, "TRAIN": "'1'"}, "train")


@pytest.mark.parametrize("path", ENVIRONMENT_FILES, ids=lambda path: path.parent.parent.name)
def test_check_accepts_every_directory_here_but_all_cannot_train(path: Path) -> None:
    assert check_file(path, "predict")

    if path.parent.parent.name != "all":
        check_file(path, "train")
        return
    with pytest.raises(ConfigurationError, match="TRAIN_MODULE and TRAIN_FUNCTION are not set"):
        check_file(path, "train")


def test_reader_rejects_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    reasons = {
        tmp_path / "none": "No such file or directory",
        tmp_path: "Is a directory",
    }
    for path, reason in reasons.items():
        with pytest.raises(ConfigurationError) as error:
            read(path)

        assert str(error.value) == f"{path}: can't be read ({reason}). Every model needs this file."


def assert_rejected(
    *command: str | Path, cwd: Path, message: str, env: dict[str, str] | None = None
) -> None:
    """Run a Python command; check that it fails and prints only `message`."""
    done = run(sys.executable, *command, cwd=cwd, env=env, seconds=20)

    assert done.returncode == CONFIGURATION_ERROR
    assert done.stdout == ""
    assert done.stderr == f"{message}\n"


@pytest.mark.parametrize(("role", "content", "problem"), INVALID)
def test_command_rejects_variables_that_make_no_image(
    tmp_path: Path, role: str, content: bytes, problem: str
) -> None:
    path = write_environment(tmp_path, content)
    message = f"environment: {path}: {problem}"

    command = (*READER, "check", path, role)
    assert_rejected(*command, cwd=tmp_path, message=message, env=BUILDERS)


@pytest.mark.parametrize(("name", "content", "problem"), UNREADABLE[::4])
def test_command_rejects_a_line_that_s2i_would_drop_or_change(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    path = write_environment(tmp_path, content)
    message = f"environment: {path}{problem}"

    command = (*READER, "check", path, "predict")
    assert_rejected(*command, cwd=tmp_path, message=message, env=BUILDERS)


@pytest.mark.parametrize(("role", "content", "problem"), [*INVALID[1::4], INVALID[-1]])
def test_start_fails_with_variables_that_make_no_image(
    tmp_path: Path, role: str, content: bytes, problem: str
) -> None:
    module = {"train": "runtime.train", "predict": "runtime.serve"}[role]
    environment = {
        **read(write_environment(tmp_path, content)),
        "PYTHONPATH": str(ROOT / "builders"),
        "PORT": str(free_port()),
        "LOG_FORMAT": "text",
    }
    # Without TRAIN=1, a train image answers once.
    program = {"train": "predict-once", "predict": "predict"}[role]
    message = f"{program}: {problem}"

    assert_rejected("-m", module, cwd=tmp_path, message=message, env=environment)


@pytest.mark.parametrize("role", ["train", "predict"])
def test_command_prints_nothing_for_a_valid_file(tmp_path: Path, role: str) -> None:
    path = write_environment(tmp_path, TRAIN + b"ROUTES= /p : m : f , q:m:g\n")
    done = read_with("check", path, role)

    assert done.returncode == 0
    assert done.stdout == ""
    assert done.stderr == ""


def test_run_adds_the_variables_of_the_file_to_those_set_already(tmp_path: Path) -> None:
    path = write_environment(tmp_path, b"A=of the file\nB='of the file' = $A\n")
    script = 'echo "$A|$B"; exit 3'
    done = read_with("run", path, "sh", "-c", script, A="set already")

    assert done.returncode == 3
    assert done.stdout == "set already|'of the file' = $A\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    ["", "check", "check file", "check file cook", "run file", "cook file"],
)
def test_command_prints_its_usage_for_wrong_arguments(arguments: str) -> None:
    usage = ast.get_docstring(ast.parse(MODULE.read_text()), clean=False)
    done = read_with(*arguments.split())

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"{usage}\n"
