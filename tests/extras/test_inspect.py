"""`make inspect`: contents and validity of model files, imports of pickles."""

import gzip
import io
import itertools
import pickle
import pickletools
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from picklescan.scanner import scan_pickle_bytes
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from support.commands import make, run
from support.complete import write_complete
from support.figures import Figure
from support.models import FASTEST, MODEL_DIRS, model_file
from support.pickles import KEYS, bombs, calls, text

from extras.inspect.model_file import main
from extras.inspect.pickles import MAX_UNPACKED, read_pickles
from utils.encode_decode import init_model, pickle_model

NUMBERS = np.random.default_rng(0).normal(size=(300, 4))
LABELS = (NUMBERS[:, 0] > 0).astype(int)
TABLE = pd.DataFrame(NUMBERS, columns=list("abcd")).assign(kind="x")
ENCODER = ColumnTransformer(
    [("kind", OneHotEncoder(), ["kind"]), ("numbers", StandardScaler(), list("abcd"))]
)
PIPELINE = Pipeline([("encoder", ENCODER), ("estimator", LogisticRegression())])
OBJECTS = {
    "a table": TABLE,
    "an array": NUMBERS,
    "logistic regression": LogisticRegression().fit(NUMBERS, LABELS),
    "forest": RandomForestClassifier(random_state=0).fit(NUMBERS, LABELS),
    "boosting": GradientBoostingClassifier(n_estimators=5).fit(NUMBERS, LABELS),
    "neighbours": KNeighborsClassifier().fit(NUMBERS, LABELS),
    "vectors": SVC().fit(NUMBERS, LABELS),
    "pipeline": PIPELINE.fit(TABLE, LABELS),
}
PROTOCOLS = range(6)
# The module names of Python 2. Pickles before protocol 3 contain these names.
OLD_MODULES = {"copyreg": "copy_reg", "builtins": "__builtin__"}
# The kinds of hostile pickles that import os.system.
SYSTEM_CALLS = ("global", "stack-global", "inst", "obj", "memo-names", "dotted")
ROWS = {
    "a table": "yes, by pandas.",
    "logistic regression": "no table of pandas",
    "neighbours": "yes, by _fit_X",
    "vectors": "yes, by support_vectors_",
}
Inspect = Callable[[object], tuple[int, str]]


@pytest.fixture
def inspect(capsys: pytest.CaptureFixture[str]) -> Inspect:
    """Inspect a file and return the exit code and the output."""

    def call(path: object) -> tuple[int, str]:
        code = main([str(path)])
        return code, capsys.readouterr().out

    return call


@pytest.fixture
def contents(trained: Path) -> dict[str, Any]:
    """The contents of a trained model file, as pickle_model takes them."""
    path = model_file(trained, FASTEST)
    contents = init_model(path.stem, path.parent)
    contents.pop("digest")
    return contents


class Recording(pickle.Unpickler):
    """The real unpickler, which records every name that a pickle imports."""

    def __init__(self, content: bytes):
        super().__init__(io.BytesIO(content))
        self.names: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.names.add(f"{module}.{name}")
        return super().find_class(module, name)


def unpickled_names(content: bytes, protocol: int) -> set[str]:
    """Return the names that the real unpickler imports, as they are in the file."""
    recording = Recording(content)
    recording.load()
    # Before protocol 3 a file has Python 2's names, which the unpickler translates.
    if protocol > 2:
        return recording.names

    names = set()
    for recorded in recording.names:
        module, _, name = recorded.partition(".")
        names.add(f"{OLD_MODULES.get(module, module)}.{name}")
    return names


def names_of_global_opcodes(content: bytes) -> set[str]:
    """Return the names that only one opcode contains, as a naive tool does."""
    names = set()
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name == "GLOBAL":
            names.add(str(argument).replace(" ", "."))
    return names


def test_inspect_finds_the_names_that_the_real_unpickler_imports(figure: Figure) -> None:
    missed = 0
    for thing, protocol in itertools.product(OBJECTS.values(), PROTOCOLS):
        content = pickle.dumps(thing, protocol)
        names = unpickled_names(content, protocol)
        findings = read_pickles(content)
        assert findings.names == names
        assert (findings.problem, findings.count) == ("", 1)
        missed += names_of_global_opcodes(content) != names

    assert missed > 0
    figure(
        f"names in pickles of scikit-learn, pandas, numpy: {len(PROTOCOLS) * len(OBJECTS)}",
        "as the real unpickler asks",
        f"GLOBAL alone: {missed} wrong",
    )


@pytest.mark.parametrize("directory", MODEL_DIRS)
def test_trained_model_is_valid(trained: Path, directory: str, inspect: Inspect) -> None:
    path = model_file(trained, directory)
    code, output = inspect(path)
    assert code == 0
    assert output.endswith(f"valid: {path}\n")

    contents = init_model(path.stem, path.parent)
    expected = (
        f"{path.stat().st_size:,} bytes",
        contents["digest"],
        contents["data"]["sha256"],
        "native-country: 4",
        "16 held-out rows; the model gives the recorded answers",
        "no HMAC",
    )
    for line in expected:
        assert line in output


def test_model_with_wrong_golden_rows_is_not_valid(
    contents: dict[str, Any], tmp_path: Path, inspect: Inspect
) -> None:
    assert inspect(pickle_model(contents, tmp_path))[0] == 0
    wrong = {**contents["golden"], "scores": [[0.5, 0.5]] * 16}
    code, output = inspect(pickle_model({**contents, "golden": wrong}, tmp_path))
    assert code == 1
    assert "self-check failed" in output


@pytest.mark.parametrize("schema", [{}, [], {"classes": [0, 1], "columns": [{"name": "age"}]}])
def test_model_whose_schema_has_another_shape_is_not_valid(
    contents: dict[str, Any], tmp_path: Path, inspect: Inspect, schema: object
) -> None:
    code, output = inspect(pickle_model({**contents, "schema": schema}, tmp_path))
    assert code == 1
    assert "a part has a different structure from that of training" in output


def test_damaged_model_is_not_valid(
    contents: dict[str, Any], tmp_path: Path, inspect: Inspect
) -> None:
    path = pickle_model(contents, tmp_path)
    path.write_bytes(path.read_bytes().replace(b"age", b"ag3"))
    code, output = inspect(path)
    assert code == 1
    assert "its sha256 does not match its contents: the file is corrupt" in output


def test_inspect_shows_the_state_of_a_signature(
    contents: dict[str, Any], tmp_path: Path, inspect: Inspect, monkeypatch: pytest.MonkeyPatch
) -> None:
    for letter in "ab":
        (tmp_path / letter).write_text(letter * 32)

    monkeypatch.setenv("MODEL_HMAC_KEY_FILE", str(tmp_path / "a"))
    path = pickle_model(contents, tmp_path)
    assert "an HMAC of a key in MODEL_HMAC_KEY_FILE" in inspect(path)[1]

    monkeypatch.setenv("MODEL_HMAC_KEY_FILE", str(tmp_path / "b"))
    assert inspect(path) == (
        1,
        f"not valid: {path}: Signature matches no key in MODEL_HMAC_KEY_FILE. "
        "Train the model again with that file.\n",
    )

    monkeypatch.delenv("MODEL_HMAC_KEY_FILE")
    assert "an HMAC, unchecked: MODEL_HMAC_KEY_FILE isn't set" in inspect(path)[1]


def test_hostile_pickle_is_shown_and_does_not_run(
    tmp_path: Path, inspect: Inspect, figure: Figure
) -> None:
    marker = tmp_path / "ran"
    # Plain data imports nothing and can be read to its end.
    plain = {*bombs(), "bytearray8"}
    hostile = {**calls(f"echo >> {marker}"), **bombs()}
    for name, body in hostile.items():
        (tmp_path / name).write_bytes(body)
        code, output = inspect(tmp_path / name)
        if code == 0:
            assert name in plain, output
            assert "imports  " not in output
        else:
            assert code == 1
        if name in SYSTEM_CALLS:
            assert "system" in output, name
    assert not marker.exists()

    load = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    run("python3", "-c", load, tmp_path / "global")
    assert marker.exists()
    figure(
        f"hostile pickles under make inspect: {len(hostile)}",
        "none run, every call listed",
        "pickle.load runs them",
    )


@pytest.mark.parametrize("kind", ROWS)
def test_inspect_shows_whether_a_pickle_carries_rows_of_data(
    tmp_path: Path, inspect: Inspect, kind: str
) -> None:
    path = tmp_path / "m"
    path.write_bytes(pickle.dumps(OBJECTS[kind]))
    assert f"rows        {ROWS[kind]}" in inspect(path)[1]


def test_inspect_shows_large_arrays_as_possible_rows(tmp_path: Path, inspect: Inspect) -> None:
    path = tmp_path / "m"
    path.write_bytes(pickle.dumps(np.zeros(10_000)))
    expected = "maybe: 1 arrays or byte strings of 65,536 bytes and more, up to 80,000"
    assert f"rows        {expected}" in inspect(path)[1]


def test_compressed_pickle_of_plain_data_has_no_imports(tmp_path: Path, inspect: Inspect) -> None:
    path = tmp_path / "m.pkl"
    joblib.dump(OBJECTS["logistic regression"].get_params(), path, compress=3)
    assert inspect(path)[0] == 0


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_compressed_pickle_is_read_and_bomb_is_rejected(
    tmp_path: Path, inspect: Inspect, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(compress(pickle.dumps(OBJECTS["forest"])))
    assert "sklearn.ensemble._forest.RandomForestClassifier" in inspect(path)[1]

    path.write_bytes(compress(bytes(MAX_UNPACKED + 1)))
    assert f"unpacks to more than {MAX_UNPACKED:,} bytes" in inspect(path)[1]


def test_pickle_of_plain_data_has_no_imports(tmp_path: Path, inspect: Inspect) -> None:
    (tmp_path / "m").write_bytes(pickle.dumps(KEYS))
    assert inspect(tmp_path / "m")[0] == 0


def hidden_call() -> bytes:
    """Return a pickle that gets the name os.system from its memo and calls it."""
    names = text("os") + b"\x940" + text("system") + b"\x940"
    return b"\x80\x04" + names + b"h\x00h\x01\x93" + text("true") + b"\x85R."


@pytest.mark.parametrize("first", [KEYS, OBJECTS["forest"]], ids=["plain", "forest"])
def test_inspect_lists_the_imports_of_a_second_pickle(
    tmp_path: Path, inspect: Inspect, first: object
) -> None:
    path = tmp_path / "m"
    path.write_bytes(pickle.dumps(first, 4) + hidden_call())
    code, output = inspect(path)
    assert code == 1
    assert "imports     os.system\n" in output
    assert "pickles     2\n" in output

    # The control: picklescan reads one pickle, or both with one memo.
    one = scan_pickle_bytes(io.BytesIO(path.read_bytes()), "", multiple_pickles=False)
    assert "system" not in {found.name for found in one.globals}
    both = scan_pickle_bytes(io.BytesIO(path.read_bytes()), "")
    assert "system" not in {found.name for found in both.globals}


def test_inspect_lists_an_import_without_a_name(tmp_path: Path, inspect: Inspect) -> None:
    path = tmp_path / "m"
    path.write_bytes(b"\x80\x04\x93.")
    with pytest.raises(ValueError, match="STACK_GLOBAL"):
        scan_pickle_bytes(io.BytesIO(path.read_bytes()), "")

    code, output = inspect(path)
    assert code == 1
    assert "imports     (an unknown name)\n" in output


def test_inspect_prints_a_bounded_reason_for_a_long_line(tmp_path: Path, inspect: Inspect) -> None:
    path = tmp_path / "m"
    path.write_bytes(b"S" + b"x" * 1_000_000 + b"\n.")
    code, output = inspect(path)
    assert code == 1
    assert "can't be read beyond byte" in output
    assert len(output) < 1000


def test_inspect_calls_no_file_safe(tmp_path: Path, inspect: Inspect) -> None:
    for name, content in {**calls("true"), **bombs(), "plain": pickle.dumps(KEYS)}.items():
        (tmp_path / name).write_bytes(content)
        output = inspect(tmp_path / name)[1].replace(str(tmp_path), "")
        for word in ("safe", "innocuous", "\nvalid", "clean"):
            assert word not in output.lower()


def test_text_of_a_file_stays_on_its_line(tmp_path: Path, inspect: Inspect) -> None:
    (tmp_path / "m").write_bytes(b"\x80\x04\x8c\x02os\x8c\x0e\x1b[2J\nvalid: m\r\x93.")
    code, output = inspect(tmp_path / "m")
    assert code == 1
    assert "os.\\x1b[2J\\nvalid: m\\r" in output
    assert "\x1b" not in output


def test_make_inspect_without_model_prints_usage(clone: Path) -> None:
    done = make(clone, ".", "inspect")
    assert done.returncode == 2
    assert "Usage:   MODEL=NAME|PATH extras/inspect/inspect.sh" in done.stderr


def test_make_inspect_ends_with_its_verdict(clone: Path) -> None:
    (clone / "plain").write_bytes(pickle.dumps(KEYS))
    done = make(clone, ".", "inspect", MODEL=clone / "plain")
    verdict = f"no imports found: {clone}/plain. This does not prove that the file is harmless."
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, verdict)

    (clone / "call").write_bytes(calls("true")["global"])
    done = make(clone, ".", "inspect", MODEL=clone / "call")
    assert "Error 1" in done.stderr
    assert "loading it would import 1 names and may call them" in done.stdout

    done = make(clone, ".", "inspect", MODEL="none")
    assert "not valid: models/none.pkl: no such file" in done.stdout


def test_a_file_in_the_complete_form_shows_its_types_and_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    contents = write_complete(tmp_path)
    capsys.readouterr()
    assert main(["m"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["engine"] == "skops"
    assert lines["requires"].startswith("pandas ")
    assert "sklearn.tree._tree.Tree" in lines["types"].split(", ")
    pickle_model({**contents, "model": b"no zip file"})
    assert main(["m"]) == 1, "the control"
