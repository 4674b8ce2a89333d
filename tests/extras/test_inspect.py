"""`make inspect`: says of a model file what is in it and whether it is sound, of a pickle what it would import."""

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
from conftest import MODEL_DIRS, make, run, setting
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from support.figures import Figure
from test_hostile_pickles import KEYS, bombs, roads

from extras.inspect.model_file import main
from extras.inspect.walk import MAX_UNPACKED, walk
from utils.encode_decode import init_model, pickle_model

NUMBERS = np.random.default_rng(0).normal(size=(300, 4))
LABELS = (NUMBERS[:, 0] > 0).astype(int)
TABLE = pd.DataFrame(NUMBERS, columns=list("abcd")).assign(kind="x")
ENCODER = ColumnTransformer(
    [("kind", OneHotEncoder(), ["kind"]), ("numbers", StandardScaler(), list("abcd"))]
)
OBJECTS = {
    "a table": TABLE,
    "an array": NUMBERS,
    "logistic regression": LogisticRegression().fit(NUMBERS, LABELS),
    "forest": RandomForestClassifier(random_state=0).fit(NUMBERS, LABELS),
    "boosting": GradientBoostingClassifier(n_estimators=5).fit(NUMBERS, LABELS),
    "neighbours": KNeighborsClassifier().fit(NUMBERS, LABELS),
    "vectors": SVC().fit(NUMBERS, LABELS),
    "pipeline": Pipeline([("encoder", ENCODER), ("estimator", LogisticRegression())]).fit(
        TABLE, LABELS
    ),
}
Inspect = Callable[[object], tuple[int, str]]


@pytest.fixture
def inspect(capsys: pytest.CaptureFixture[str]) -> Inspect:
    """Inspects a file and returns the exit code and what was printed."""

    def call(path: object) -> tuple[int, str]:
        code = main([str(path)])
        return code, capsys.readouterr().out

    return call


class Recording(pickle.Unpickler):
    """The real unpickler, which notes every name it is asked for."""

    def __init__(self, content: bytes):
        super().__init__(io.BytesIO(content))
        self.names: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.names.add(f"{module}.{name}")
        return super().find_class(module, name)


def test_the_names_are_those_that_the_real_unpickler_asks_for(figure: Figure) -> None:
    missed = 0
    for thing, protocol in itertools.product(OBJECTS.values(), range(6)):
        content = pickle.dumps(thing, protocol)
        recording = Recording(content)
        recording.load()
        found = walk(content)
        assert (set(found.names), found.problem, found.end) == (
            recording_names(recording, protocol),
            "",
            len(content),
        )
        missed += global_alone(content) != set(found.names)
    assert missed > 0
    told = f"GLOBAL alone: {missed} wrong"
    figure(
        f"names in pickles of scikit-learn, pandas, numpy: {6 * len(OBJECTS)}",
        "as the real unpickler asks",
        told,
    )


def global_alone(content: bytes) -> set[str]:
    """The names that one opcode tells: the naive way."""
    opcodes = pickletools.genops(content)
    return {
        str(argument).replace(" ", ".") for code, argument, _ in opcodes if code.name == "GLOBAL"
    }


def recording_names(recording: Recording, protocol: int) -> set[str]:
    """The names asked for; before protocol 3 the file has Python 2's, which the unpickler translates."""
    if protocol > 2:
        return recording.names
    old = {"copyreg": "copy_reg", "builtins": "__builtin__"}
    split = [name.partition(".") for name in recording.names]
    return {f"{old.get(module, module)}.{name}" for module, _, name in split}


@pytest.mark.parametrize("directory", MODEL_DIRS)
def test_a_trained_model_is_sound(trained: Path, directory: str, inspect: Inspect) -> None:
    path = trained / "models" / f"{setting(directory, 'MODEL_NAME')}.pkl"
    code, said = inspect(path)
    assert code == 0 and said.endswith(f"sound: {path}\n")
    contents = init_model(path.stem, path.parent)
    for text in (
        f"{path.stat().st_size:,} bytes",
        contents["digest"],
        contents["data"]["sha256"],
        "native-country: 4",
    ):
        assert text in said
    assert "16 held-out rows of the data, replayed: they agree" in said and "no HMAC" in said


def test_a_model_that_is_damaged_or_lies_is_not_sound(
    trained: Path, tmp_path: Path, inspect: Inspect
) -> None:
    name = setting(MODEL_DIRS[0], "MODEL_NAME")
    contents = init_model(name, trained / "models")
    contents.pop("digest")
    path = pickle_model(contents, tmp_path)
    assert inspect(path)[0] == 0
    lie = {**contents["golden"], "scores": [[0.5, 0.5]] * 16}
    assert (
        "answers its golden rows otherwise"
        in inspect(pickle_model({**contents, "golden": lie}, tmp_path))[1]
    )
    for schema in ({}, [], {"classes": [0, 1], "columns": [{"name": "age"}]}):
        code, said = inspect(pickle_model({**contents, "schema": schema}, tmp_path))
        assert code == 1 and "a part has another shape than training gives it" in said
    path.write_bytes(path.read_bytes().replace(b"age", b"ag3"))
    code, said = inspect(path)
    assert code == 1 and "its sha256 doesn't match its contents: damaged" in said


def test_the_state_of_a_signature_is_told(
    trained: Path, tmp_path: Path, inspect: Inspect, monkeypatch: Any
) -> None:
    contents = init_model(setting(MODEL_DIRS[0], "MODEL_NAME"), trained / "models")
    contents.pop("digest")
    for letter in "ab":
        (tmp_path / letter).write_text(letter * 32)
    monkeypatch.setenv("MODEL_HMAC_KEY_FILE", str(tmp_path / "a"))
    path = pickle_model(contents, tmp_path)
    assert "an HMAC of a key in MODEL_HMAC_KEY_FILE" in inspect(path)[1]
    monkeypatch.setenv("MODEL_HMAC_KEY_FILE", str(tmp_path / "b"))
    assert inspect(path) == (
        1,
        f"not sound: {path}: its HMAC is of none of the keys in MODEL_HMAC_KEY_FILE; "
        "train the model again with that file\n",
    )
    monkeypatch.delenv("MODEL_HMAC_KEY_FILE")
    assert "an HMAC, unchecked: MODEL_HMAC_KEY_FILE isn't set" in inspect(path)[1]


def test_a_hostile_pickle_is_told_and_not_run(
    tmp_path: Path, inspect: Inspect, figure: Figure
) -> None:
    marker = tmp_path / "ran"
    hostile = {**roads(f"echo >> {marker}"), **bombs()}
    for name, body in hostile.items():
        (tmp_path / name).write_bytes(body)
        code, said = inspect(tmp_path / name)
        plain = (name in bombs() or name == "bytearray8") and "imports" not in said and code == 0
        assert code == 1 or plain, f"{name}: {said}"
        assert "system" in said or name not in (
            "global",
            "stack-global",
            "inst",
            "obj",
            "memo-names",
            "dotted",
        )
    assert not marker.exists()
    run(
        "python3",
        "-c",
        "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))",
        tmp_path / "global",
    )
    assert marker.exists()
    figure(
        f"hostile pickles under make inspect: {len(hostile)}",
        "none run, every call told",
        "pickle.load runs them",
    )


ROWS = {
    "a table": "yes, by pandas.",
    "logistic regression": "no table of pandas",
    "neighbours": "yes, by _fit_X",
    "vectors": "yes, by support_vectors_",
}


@pytest.mark.parametrize("kind", ROWS)
def test_rows_of_data_in_a_pickle_are_noticed(tmp_path: Path, inspect: Inspect, kind: str) -> None:
    (tmp_path / "m").write_bytes(pickle.dumps(OBJECTS[kind]))
    assert f"rows        {ROWS[kind]}" in inspect(tmp_path / "m")[1]
    (tmp_path / "m").write_bytes(pickle.dumps(np.zeros(10_000)))
    assert (
        "rows        maybe: 1 arrays or byte strings of 65,536 bytes and more, up to 80,000"
        in inspect(tmp_path / "m")[1]
    )


def test_compressed_pickles_are_read_and_bombs_are_not(tmp_path: Path, inspect: Inspect) -> None:
    path = tmp_path / "m.pkl"
    joblib.dump(OBJECTS["logistic regression"].get_params(), path, compress=3)
    assert inspect(path)[0] == 0
    for pack in (gzip.compress, zlib.compress):
        path.write_bytes(pack(pickle.dumps(OBJECTS["forest"])))
        assert "sklearn.ensemble._forest.RandomForestClassifier" in inspect(path)[1]
        path.write_bytes(pack(bytes(MAX_UNPACKED + 1)))
        assert f"unpacks to more than {MAX_UNPACKED:,} bytes" in inspect(path)[1]


def test_plain_data_is_sound_and_what_it_says_stays_on_its_line(
    tmp_path: Path, inspect: Inspect
) -> None:
    (tmp_path / "m").write_bytes(pickle.dumps(KEYS))
    assert inspect(tmp_path / "m")[0] == 0
    (tmp_path / "m").write_bytes(b"\x80\x04\x8c\x02os\x8c\x0e\x1b[2J\nsound: m\r\x93.")
    code, said = inspect(tmp_path / "m")
    assert code == 1 and "os.\\x1b[2J\\nsound: m\\r" in said and "\x1b" not in said


def test_make_inspect_ends_with_its_verdict(clone: Path) -> None:
    assert make(clone, ".", "inspect").returncode == 2
    (clone / "plain").write_bytes(pickle.dumps(KEYS))
    (clone / "call").write_bytes(roads("true")["global"])
    found = make(clone, ".", "inspect", MODEL=clone / "plain")
    assert (found.returncode, found.stdout.splitlines()[-1]) == (0, f"sound: {clone}/plain")
    found = make(clone, ".", "inspect", MODEL=clone / "call")
    assert (
        "Error 1" in found.stderr
        and "loading it would import 1 names and may call them" in found.stdout
    )
    found = make(clone, ".", "inspect", MODEL="none")
    assert "not sound: models/none.pkl: no such file" in found.stdout
