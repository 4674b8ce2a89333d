"""`.s2i/environment`: s2i's reading of it, and every file that is refused before a build, in it and at start."""

import ast
import shutil
import sys
from pathlib import Path

import pytest
from conftest import MODEL_DIRS, ROOT, free_port, run
from runtime.environment import (
    KNOWN,
    MAX_LINE_BYTES,
    ConfigurationError,
    Route,
    check,
    check_file,
    parse_routes,
    read,
)

READER = ROOT / "builders" / "runtime" / "environment.py"
# What a host runs, whose Python may be 3.9.
HOST_FILES = [
    READER,
    *(
        ROOT / "engines" / name
        for name in ("check_endpoint.py", "pip_settings.py", "port.py", "model_table.py")
    ),
    ROOT / "all" / "generate.py",
    ROOT / "utils" / "encode_decode.py",
]
FORM = "expected route:module:function, several joined by commas"
PARTS = "expected letters, digits and . _ ~ - in parts joined by /"
TRAIN = b"TRAIN_MODULE=m\nTRAIN_FUNCTION=f\n"


def written(directory: Path, content: bytes) -> Path:
    """An environment file with this content."""
    path = directory / "environment"
    path.write_bytes(content)
    return path


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
def test_lines_are_read_as_s2i_reads_them(
    tmp_path: Path, content: bytes, expected: dict[str, str]
) -> None:
    assert read(written(tmp_path, content)) == expected


def malformed(line: str) -> str:
    return f", line 1: expected KEY=value, found {line!r}; s2i would drop it"


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
    ("a key twice", b"A=1\n\nA=2\n", ", line 3: A is set twice; s2i would take the last, keep one"),
    (
        "a line of 64 KiB",
        b"A=1\nB=" + b"x" * (MAX_LINE_BYTES - 2) + b"\n",
        ", line 2: 65536 bytes; s2i drops this line and all after it",
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
]


@pytest.mark.parametrize(("name", "content", "problem"), UNREADABLE)
def test_a_line_that_s2i_would_drop_or_change_is_refused(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ConfigurationError) as refusal:
        read(path)
    assert str(refusal.value) == f"{path}{problem}"


@pytest.mark.parametrize(("key", "meant"), MISSPELT)
def test_a_key_that_nearly_is_a_known_one_is_refused(tmp_path: Path, key: str, meant: str) -> None:
    path = written(tmp_path, f"{key}=1\n".encode())
    with pytest.raises(ConfigurationError) as refusal:
        read(path)
    assert str(refusal.value) == f"{path}, line 1: {key} is not known, did you mean {meant}?"


@pytest.mark.parametrize(
    "key", [*KNOWN, "ROUTER_IP", "MODEL_DIR", "TRAINING", "TRAIN_ROWS", "HOST", "P", "LD_PRELOAD"]
)
def test_a_known_key_and_one_unlike_any_pass(tmp_path: Path, key: str) -> None:
    assert read(written(tmp_path, f"{key}=1\n".encode())) == {key: "1"}


QUOTES = "quotes are part of the value here; leave them out"
NO_TRAIN = "TRAIN_MODULE and TRAIN_FUNCTION are not set; a train image needs them"
WRONG = [
    ("train", b"", NO_TRAIN),
    (
        "train",
        b"TRAIN_MODULE=\nTRAIN_FUNCTION=\n",
        "TRAIN_MODULE and TRAIN_FUNCTION are not set; a train image needs them",
    ),
    (
        "train",
        b"ROUTES=p:m:f\n",
        "TRAIN_MODULE and TRAIN_FUNCTION are not set; a train image needs them",
    ),
    (
        "train",
        b"TRAIN_MODULE=m\n",
        "TRAIN_MODULE is set alone; TRAIN_MODULE and TRAIN_FUNCTION go together",
    ),
    (
        "train",
        b"TRAIN_FUNCTION=f\n",
        "TRAIN_FUNCTION is set alone; TRAIN_MODULE and TRAIN_FUNCTION go together",
    ),
    (
        "train",
        TRAIN + b"PREDICT_MODULE=m\n",
        "PREDICT_MODULE is set alone; PREDICT_MODULE and PREDICT_FUNCTION go together",
    ),
    ("train", b"TRAIN_MODULE='m'\nTRAIN_FUNCTION=f\n", f"TRAIN_MODULE='m': {QUOTES}"),
    ("train", b'TRAIN_MODULE=m\nTRAIN_FUNCTION="f"\n', f'TRAIN_FUNCTION="f": {QUOTES}'),
    ("train", b"TRAIN_MODULE=`m`\nTRAIN_FUNCTION=f\n", f"TRAIN_MODULE=`m`: {QUOTES}"),
    (
        "train",
        b"TRAIN_MODULE=m/train.py\nTRAIN_FUNCTION=f\n",
        "TRAIN_MODULE=m/train.py: expected a module such as package.module in 'm/train.py', found 'm/train'",
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
        "TRAIN_MODULE=runtime.train: the name 'runtime' is the builder's own; rename your module",
    ),
    ("predict", TRAIN, f"ROUTES is not set; {FORM}"),
    ("predict", b"ROUTES=\n", f"ROUTES is not set; {FORM}"),
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
    ("predict", b"ROUTES=p:m:f,q:m:f,p:n:g\n", "ROUTES: entry 'p:n:g': route p is there twice"),
    ("predict", b"ROUTES=p:m:f,/p:m:f\n", "ROUTES: entry '/p:m:f': route p is there twice"),
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
        "ROUTES: entry 'p:a.class:f': expected a module such as package.module in 'a.class', found 'class'",
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
        "ROUTES: entry 'p:runtime:f': the name 'runtime' is the builder's own; rename your module",
    ),
]
RESERVED = "/ health ready metrics openapi.json docs v2/x v2 /health health/ metrics/mine docs/a/b static/x".split()


@pytest.mark.parametrize(("role", "content", "problem"), WRONG)
def test_variables_that_make_no_image_are_refused(
    tmp_path: Path, role: str, content: bytes, problem: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ConfigurationError) as refusal:
        check_file(path, role)
    assert str(refusal.value) == f"{path}: {problem}"


@pytest.mark.parametrize("route", RESERVED)
def test_a_route_of_the_server_itself_is_refused(route: str) -> None:
    entry = f"{route}:m:f"
    with pytest.raises(ConfigurationError) as refusal:
        parse_routes(entry)
    assert str(refusal.value) == (
        f"ROUTES: entry {entry!r}: /{route.strip('/')} is reserved for the server; choose another route"
    )


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
def test_routes_are_split_trimmed_and_kept_in_order(
    text: str, expected: list[tuple[str, str, str]]
) -> None:
    assert parse_routes(text) == [Route(*parts) for parts in expected]


def test_a_payload_may_hold_quotes_and_the_other_known_keys_may_not() -> None:
    variables = {"TRAIN_MODULE": "m", "TRAIN_FUNCTION": "f", "PAYLOAD": '{"a": "b"}'}
    assert check(variables, "train") == []
    with pytest.raises(ConfigurationError, match="^TRAIN='1': quotes are part"):
        check({**variables, "TRAIN": "'1'"}, "train")


@pytest.mark.parametrize(
    "model", sorted(ROOT.glob("*/.s2i/environment")), ids=lambda path: path.parent.parent.name
)
def test_every_model_here_passes_and_only_all_cannot_train(model: Path) -> None:
    assert check_file(model, "predict")
    if model.parent.parent.name != "all":
        check_file(model, "train")
        return
    with pytest.raises(ConfigurationError, match="TRAIN_MODULE and TRAIN_FUNCTION are not set"):
        check_file(model, "train")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "none", "No such file or directory"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(ConfigurationError) as refusal:
            read(path)
        assert str(refusal.value) == f"{path}: can't be read ({reason}); every model needs one"


def refused(*command: str | Path, cwd: Path, text: str, env: dict[str, str] | None = None) -> None:
    """Asserts that a command ends with the exit code for configuration and says no more than `text`."""
    done = run(sys.executable, *command, cwd=cwd, env=env, seconds=20)
    assert (done.returncode, done.stdout, done.stderr) == (78, "", f"{text}\n")


@pytest.mark.parametrize(("role", "content", "problem"), WRONG)
def test_the_command_refuses_them_too(
    tmp_path: Path, role: str, content: bytes, problem: str
) -> None:
    path = written(tmp_path, content)
    refused(READER, "check", path, role, cwd=tmp_path, text=f"environment: {path}: {problem}")


@pytest.mark.parametrize(("content", "problem"), [case[1:] for case in UNREADABLE[::4]])
def test_the_command_refuses_an_unreadable_file(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    path = written(tmp_path, content)
    refused(READER, "check", path, "predict", cwd=tmp_path, text=f"environment: {path}{problem}")


@pytest.mark.parametrize(("role", "content", "problem"), [*WRONG[1::4], WRONG[-1]])
def test_the_start_refuses_what_the_variables_show(
    tmp_path: Path, role: str, content: bytes, problem: str
) -> None:
    program = {"train": "train", "predict": "serve"}[role]
    env = {
        **read(written(tmp_path, content)),
        "PYTHONPATH": str(ROOT / "builders"),
        "PORT": str(free_port()),
    }
    env["LOG_FORMAT"] = "text"
    refused("-m", f"runtime.{program}", cwd=tmp_path, text=f"{role}: {problem}", env=env)


def test_a_sound_file_passes_the_command_without_a_word(tmp_path: Path) -> None:
    path = written(tmp_path, TRAIN + b"ROUTES= /p : m : f , q:m:g\n")
    for role in ("train", "predict"):
        done = run(sys.executable, READER, "check", path, role)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_run_gives_the_command_the_files_variables_under_those_set_already(tmp_path: Path) -> None:
    path = written(tmp_path, b"A=of the file\nB='of the file' = $A\n")
    done = run(
        sys.executable,
        READER,
        "run",
        path,
        "sh",
        "-c",
        'echo "$A|$B"; exit 3',
        env={"A": "set already"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        3,
        "set already|'of the file' = $A\n",
        "",
    )


def test_the_command_prints_its_usage_when_called_wrongly() -> None:
    usage = ast.get_docstring(ast.parse(READER.read_text()), clean=False)
    for arguments in (
        [],
        ["check"],
        ["check", "file"],
        ["check", "file", "cook"],
        ["run", "file"],
        ["cook", "file"],
    ):
        done = run(sys.executable, READER, *arguments)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{usage}\n"), arguments


@pytest.mark.parametrize("file", HOST_FILES, ids=lambda path: path.name)
def test_what_the_host_runs_is_python_3_9(file: Path) -> None:
    ast.parse(file.read_text(), feature_version=(3, 9))
    with pytest.raises(SyntaxError):
        ast.parse(file.read_text() + "\nmatch 1:\n    case _: pass\n", feature_version=(3, 9))


@pytest.fixture(scope="module")
def python39() -> str:
    """A Python 3.9 of this machine."""
    found = [
        shutil.which("python3.9"),
        *sorted(Path.home().glob(".pyenv/versions/3.9.*/bin/python")),
    ]
    for candidate in filter(None, found):
        if (
            run(candidate, "-c", "import sys; sys.exit(sys.version_info[:2] != (3, 9))").returncode
            == 0
        ):
            return str(candidate)
    pytest.skip("this machine has no Python 3.9")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("builders/runtime/environment.py check all/.s2i/environment predict", 0),
        ("builders/runtime/environment.py check all/.s2i/environment train", 78),
        ("engines/pip_settings.py", 0),
        ("engines/port.py 0", 2),
        ("engines/check_endpoint.py", 2),
        ("engines/model_table.py", 0),
        ("engines/model_table.py models/no_such.pkl", 78),
        ("all/generate.py --check " + " ".join(MODEL_DIRS), 0),
    ],
)
def test_what_the_host_runs_runs_on_python_3_9(python39: str, arguments: str, code: int) -> None:
    done = run(python39, "-I", *arguments.split())
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


def test_python_3_9_would_not_run_newer_code(python39: str) -> None:
    assert run(python39, "-c", "def f(x: int | None): ...").returncode == 1
