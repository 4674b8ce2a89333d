"""Test that training writes the requested model, or reports why it wrote nothing."""

import calendar
import hashlib
import os
import shutil
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime.message import Message
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from support.commands import ROOT, output_of, run
from support.models import MODEL_DIRS, setting, train

from common_utils.train_utils import data_file, train_model
from utils.encode_decode import init_model
from utils.errors import ModelFileError, TrainingError
from utils.model import Model
from utils.training import form

with open(ROOT / "data" / "adult_income-prepped.csv") as file:
    HEADER, *ROWS = [next(file).rstrip("\n") for _ in range(401)]
# The first row, without its first value and without its label.
REST = ROWS[0].removeprefix("39").removesuffix("0")
EXPECTED = 'expected {"$ref": "data/….csv", "model_name": "…"}'
SMALL_TREE = DecisionTreeClassifier(max_depth=3, random_state=0)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A train container's working directory, with a small table data/t.csv."""
    (tmp_path / "models").mkdir()
    (tmp_path / "data").mkdir()
    write(tmp_path, [HEADER, *ROWS])
    shutil.copy(ROOT / "data" / "adult_income-prepped.toml", tmp_path / "data" / "t.toml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(project: Path, lines: list[str]) -> None:
    """Write some lines to data/t.csv."""
    (project / "data" / "t.csv").write_text("".join(f"{line}\n" for line in lines))


def labelled(labels: str) -> list[str]:
    """Return the table with other labels; the labels are repeated."""
    words = labels.split()
    return [HEADER, *(row[:-1] + words[i % len(words)] for i, row in enumerate(ROWS))]


def trained_on(
    estimator: Any = SMALL_TREE, numbers: str | None = None, **payload: Any
) -> dict[str, Any]:
    """Train on data/t.csv and return the contents of the model file."""
    message = Message(payload={"$ref": "data/t.csv", "model_name": "m", **payload})
    train_model(message, estimator, "A test", numbers)
    return init_model("m")


def refusal(estimator: Any = SMALL_TREE, numbers: str | None = None, **payload: Any) -> str:
    """Return the reason why training fails; check that it wrote nothing."""
    with pytest.raises((TrainingError, ModelFileError)) as caught:
        trained_on(estimator, numbers, **payload)
    assert os.listdir("models") == []
    assert caught.value.exit_code == 78
    return str(caught.value)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (None, f"PAYLOAD: {EXPECTED}, found None"),
        (["data/t.csv"], f"PAYLOAD: {EXPECTED}, found ['data/t.csv']"),
        ({}, f"PAYLOAD: {EXPECTED}, found $ref None"),
        ({"$ref": 1, "model_name": "m"}, f"PAYLOAD: {EXPECTED}, found $ref 1"),
        ({"$ref": "data/t.csv"}, f"PAYLOAD: {EXPECTED}, found model_name None"),
    ],
)
def test_a_payload_of_another_shape_is_refused(project: Path, payload: Any, message: str) -> None:
    with pytest.raises(TrainingError) as caught:
        train_model(Message(payload=payload), SMALL_TREE, "A test")
    assert str(caught.value) == message


def test_a_name_that_leaves_models_is_refused(project: Path) -> None:
    expected = "expected 1 to 63 characters from a-z 0-9 _ -, beginning with a letter or a digit"
    assert refusal(model_name="../m") == f"model name '../m' is not valid: {expected}"


@pytest.mark.parametrize("rows", [0, -1, True, "300", 1.5])
def test_train_rows_that_are_no_number_of_rows_are_refused(project: Path, rows: Any) -> None:
    assert (
        refusal(train_rows=rows)
        == f"PAYLOAD: train_rows: expected a whole number of at least 1, found {rows!r}"
    )


@pytest.mark.parametrize("rows", [400, 401])
def test_train_rows_that_leave_nothing_to_score_are_refused(project: Path, rows: int) -> None:
    assert (
        refusal(train_rows=rows)
        == f"train_rows {rows}: no held-out rows are left (400 rows). Choose fewer."
    )


@pytest.mark.parametrize(
    "rows", [1, 3, 399], ids=["one row", "one class to train", "one class to score"]
)
def test_train_rows_that_leave_one_class_are_refused(project: Path, rows: int) -> None:
    assert f"train_rows {rows}" in refusal(train_rows=rows)


OUTSIDE = [
    "/etc/passwd",
    "../x.csv",
    "data/../x.csv",
    "data/a/../../../etc/passwd",
    "data",
    "",
    "~/x.csv",
]
OUTSIDE += ["http://h/x.csv", "file://data/t.csv", "data/link.csv", "data/up/x.csv"]


@pytest.mark.parametrize("reference", OUTSIDE)
def test_a_reference_that_leaves_data_is_refused(project: Path, reference: str) -> None:
    (project / "x.csv").write_text("secret")
    (project / "data" / "link.csv").symlink_to(project / "x.csv")
    (project / "data" / "up").symlink_to(project)
    expected = (
        f"$ref {reference!r} is not inside data/. Put the file there and use its path from there."
    )
    assert refusal(**{"$ref": reference}) == expected


NO_PATHS = {"nul": "data/a\0.csv", "long": "data/" + "a" * 5000, "loop": "data/loop.csv"}


@pytest.mark.parametrize("reference", NO_PATHS.values(), ids=NO_PATHS)
def test_a_reference_that_is_no_path_is_refused(project: Path, reference: str) -> None:
    (project / "data" / "loop.csv").symlink_to("loop.csv")
    assert repr(reference)[1:-1][:19] in refusal(**{"$ref": reference})


def test_a_reference_inside_data_is_taken(project: Path) -> None:
    (project / "data" / "more").mkdir()
    (project / "data" / "more" / "link.csv").symlink_to("../t.csv")
    for reference in ("data/t.csv", "./data/t.csv", "data/more/link.csv", "data/more/../t.csv"):
        assert data_file(reference).samefile("data/t.csv")


def test_a_missing_file_is_refused_with_what_is_there(project: Path) -> None:
    (project / "data" / "b.csv").touch()
    (project / "data" / "notes.txt").touch()
    assert (
        refusal(**{"$ref": "data/none.csv"})
        == "data/none.csv: no such file; data/ has b.csv, t.csv"
    )
    for file in project.glob("data/*.csv"):
        file.unlink()
    assert refusal() == "data/t.csv: no such file; data/ has no CSV"


def test_a_table_that_does_not_fit_is_refused(project: Path) -> None:
    write(project, [HEADER, ROWS[0], f"old{REST}1", *ROWS])
    message = "data/t.csv: column 'age', line 3: expected a finite number, found 'old'."
    assert refusal().startswith(message)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("0", "data/t.csv: expected at least two classes of 'income', found [0] in 400 rows"),
        ("a " * 399 + "b", "label 'income': 1 of 2 classes have only one row: 'b'. "),
    ],
    ids=["one class", "one row of a class"],
)
def test_labels_that_cannot_be_split_are_refused(project: Path, labels: str, message: str) -> None:
    write(project, labelled(labels))
    assert refusal().startswith(message)


def test_another_encoding_of_numbers_is_refused(project: Path) -> None:
    assert refusal(numbers="scaled") == "numbers='scaled': expected 'raw' or 'binned'"


def test_an_estimator_of_the_other_task_is_refused(project: Path) -> None:
    assert refusal(LinearRegression()) == (
        "LinearRegression is not a classifier, but the label 'income' has classes. "
        'Use a classifier, or write task = "regression" in the description.'
    )
    assert refusal(None) == "NoneType is not an estimator. Pass one to train_model."


@pytest.mark.parametrize("estimator", [RidgeClassifier(), LinearSVC()])
def test_an_estimator_without_probabilities_answers_without_scores(
    project: Path, estimator: Any
) -> None:
    found = trained_on(estimator)
    assert found["metrics"]["accuracy"] > 0.7
    assert set(found["golden"]) == {"instances", "predictions"}
    assert "auc" not in found["metrics"]
    answer = Model(found).predict(found["golden"]["instances"])
    assert answer == {"predictions": found["golden"]["predictions"], "labels": [0, 1]}


class Own(ClassifierMixin, BaseEstimator):
    """A classifier that no converter knows."""

    def fit(self, features: np.ndarray, labels: np.ndarray) -> "Own":
        self.classes_ = np.unique(labels)
        return self

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        return np.tile([0.75, 0.25], (len(features), 1))

    def predict(self, features: np.ndarray) -> np.ndarray:
        return self.classes_[self.predict_proba(features).argmax(axis=1)]


def test_an_estimator_that_cannot_be_converted_takes_the_complete_form(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "requirements_predict.txt").write_text("Scikit_Learn==1.0  # old\nnumpy==2.4.6\n")
    found = trained_on(Own())
    assert found["engine"] == "skops"
    assert list(found["requires"]) == ["pandas", "scikit-learn", "skops"]
    type_name = f"{Own.__module__}.Own"
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    form = next(line for line in lines if line.startswith("---> Form: skops (complete), one row"))
    assert form.endswith(" ms. Reason: Own has no ONNX form")
    assert lines[-2:] == [
        "The server trusts these types only if predict.py names them:",
        f'@served("m", trusted=["{type_name}"])',
    ]
    versions = found["requires"]
    needed = [f"{name}=={versions[name]}" for name in ("pandas", "skops")]
    start = lines.index("The server needs these lines in requirements_predict.txt:")
    assert lines[start + 1 : start + 3] == needed
    assert not lines[start + 3].startswith("numpy"), "the control: the file has this line"


def test_a_scaled_tree_takes_the_complete_form_as_its_onnx_answers_differ(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A scaler rounds to float32, and rows on a threshold change sides.

    The control: the tree without a scaler takes the fast form.
    """
    (project / "data" / "t.csv").write_text(
        (ROOT / "data" / "adult_income-prepped.csv").read_text()
    )
    tree = DecisionTreeClassifier(random_state=0)
    found = trained_on(make_pipeline(StandardScaler(), tree), train_rows=5000)
    assert found["engine"] == "skops"
    assert found["metrics"]["largest_score_difference"] == 0
    output = capsys.readouterr().out
    assert "Reason: the answers of the ONNX model differ: " in output
    assert " of 43842 held-out rows have another class, " in output
    assert "the largest difference is 1, allowed 1e-05" in output
    control = trained_on(tree, train_rows=5000)
    assert "engine" not in control
    assert control["metrics"]["largest_score_difference"] <= 1e-5


@pytest.mark.parametrize(
    ("shift", "taken"), [(0.0, True), (5e-6, True), (5e-5, False), (5.0, False), (np.nan, False)]
)
def test_the_onnx_of_another_estimator_is_not_used(
    project: Path, monkeypatch: pytest.MonkeyPatch, shift: float, taken: bool
) -> None:
    """The converter is given the estimator with a shifted intercept."""
    real = form.to_onnx

    def shifted(estimator: Any, width: int, has_missing: bool) -> bytes:
        fitted = estimator.intercept_
        estimator.intercept_ = fitted + shift
        content = real(estimator, width, has_missing)
        estimator.intercept_ = fitted
        return content

    monkeypatch.setattr(form, "to_onnx", shifted)
    estimator = LogisticRegression(solver="newton-cholesky")
    found = trained_on(estimator, "binned")
    assert ("engine" not in found) == taken
    assert found["metrics"]["ties"] == 0


def test_the_model_file_records_what_was_trained(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setenv("GIT_COMMIT", "abc")
    monkeypatch.setenv("SOURCE_DIGEST", "def")
    found = trained_on()
    expected = {
        "modelName": "m",
        "modelDescription": "A test",
        "createdTime": "2023-11-14T22:13:20Z",
        "commit": "abc",
        "source_digest": "def",
    }
    assert {key: found[key] for key in expected} == expected
    digest = hashlib.sha256((project / "data" / "t.csv").read_bytes()).hexdigest()
    assert found["data"] == {"path": "data/t.csv", "sha256": digest}
    assert found["test_acc"] == found["metrics"]["accuracy"]
    assert (found["metrics"]["rows_compared"], found["schema"]["classes"]) == (120, [0, 1])
    assert set(found["libraries"]) >= {
        "numpy",
        "onnx",
        "onnxruntime",
        "pandas",
        "scikit-learn",
        "skl2onnx",
    }
    kinds = [(column["name"], column["kind"]) for column in found["schema"]["columns"]]
    described = tomllib.loads((project / "data" / "t.toml").read_text())["columns"]
    assert kinds == list(described.items())
    assert sorted(set(found["golden"]["predictions"])) == [0, 1]


def test_recorded_figures_are_rounded_beyond_what_the_order_of_threads_changes(
    project: Path,
) -> None:
    metrics = trained_on()["metrics"]
    assert metrics == {name: float(f"{figure:.6g}") for name, figure in metrics.items()}
    assert len(metrics) == 6 and 0 < metrics["largest_score_difference"] < 1e-5


def test_what_is_held_out_is_not_learnt_from(project: Path) -> None:
    held_out = [row.replace("race_White", "race_Green") for row in ROWS[300:]]
    write(project, [HEADER, *ROWS[:300], *held_out, f"99{REST}0"])
    found = trained_on(train_rows=300)
    columns = {column["name"]: column for column in found["schema"]["columns"]}
    ages = [int(row.split(",")[0]) for row in ROWS[:300]]
    assert (columns["age"]["minimum"], columns["age"]["maximum"]) == (min(ages), max(ages))
    assert max(ages) < 99 and "race_White" in columns["race"]["categories"]
    assert not any(
        "race_Green" in column.get("categories", []) for column in found["scaler"]["columns"]
    )
    assert not any("race_Green" in row for row in found["golden"]["instances"])
    assert found["metrics"]["rows_compared"] == 101


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ("no yes", ["no", "yes"]),
        ("5 7 9", [5, 7, 9]),
        ("a b c", ["a", "b", "c"]),
        ("true false", [False, True]),
    ],
)
def test_predictions_are_the_datas_own_classes(
    project: Path, labels: str, classes: list[Any]
) -> None:
    write(project, labelled(labels))
    found = trained_on(DecisionTreeClassifier(random_state=0))
    assert found["schema"]["classes"] == classes
    assert set(found["golden"]["predictions"]) == set(classes)


def test_the_time_is_now_unless_an_epoch_is_given(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    before = int(time.time())
    created = trained_on()["createdTime"]
    assert before <= calendar.timegm(time.strptime(created, "%Y-%m-%dT%H:%M:%SZ")) <= time.time()


def test_an_epoch_that_is_no_number_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert "SOURCE_DATE_EPOCH" in refusal()


@pytest.mark.parametrize("directory", MODEL_DIRS)
def test_training_twice_gives_the_same_bytes(trained: Path, tmp_path: Path, directory: str) -> None:
    name = f"{setting(directory, 'MODEL_NAME')}.pkl"
    (tmp_path / "models").mkdir()
    (tmp_path / "data").symlink_to(ROOT / "data")
    done = train(tmp_path, directory)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "models" / name).read_bytes() == (trained / "models" / name).read_bytes()


def test_another_time_or_another_seed_gives_other_bytes(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above: digests and trees can differ."""
    digests = set()
    for epoch, seed in (("0", 0), ("0", 0), ("1", 0), ("0", 1)):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
        digests.add(trained_on(DecisionTreeClassifier(max_features=2, random_state=seed))["digest"])
    assert len(digests) == 3


def modules_after(code: str) -> list[str]:
    """Return the modules of utils that a program has imported."""
    program = f"{code}; import sys; print(*(name for name in sys.modules if 'utils' in name))"
    done = run(sys.executable, "-B", "-c", program, env={"PYTHONPATH": str(ROOT)})
    return output_of(done).split()


def test_training_does_not_import_what_serves() -> None:
    assert "utils.serving" not in modules_after("import common_utils.train_utils")
    control = modules_after("import common_utils.train_utils, utils.serving")
    assert "utils.serving" in control
