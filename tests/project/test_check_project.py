"""`make check`: the place of each kind of finding; the repository has none."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.commands import Completed, run
from support.models import example_body, setting
from support.projects import git, make_template

from utils.encode_decode import pickle_model

INSTANCES = "xgBoost/test/test_instances.json"
Edit = Callable[[Path], None]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with a history of git."""
    return make_template(tmp_path_factory.mktemp("check"))


@pytest.fixture
def clone(template: Path) -> Iterator[Path]:
    """The clone without the changes of other tests."""
    yield template
    git(template, "reset", "--quiet", "--hard")
    git(template, "clean", "--quiet", "--force", "-d", "-x", "--exclude=.local")


def check(clone: Path) -> Completed:
    """Run the program of `make check`."""
    return run("python3", "project/check.py", cwd=clone)


def replacing(name: str, old: str, new: str) -> Edit:
    """Return an edit that replaces a text once in a file of a clone."""

    def edit(clone: Path) -> None:
        text = (clone / name).read_text()
        assert old in text
        (clone / name).write_text(text.replace(old, new, 1))

    return edit


def without(name: str) -> Edit:
    """Return an edit that removes a file of a clone."""
    return lambda clone: (clone / name).unlink()


def test_repository_has_no_finding(clone: Path) -> None:
    done = run("make", "-s", "check", cwd=clone)
    assert (done.returncode, done.stdout) == (0, "---> check: no findings\n"), done.stderr


FINDINGS: dict[str, tuple[Edit, str]] = {
    "environment": (
        replacing("xgBoost/.s2i/environment", "TRAIN_MODULE", "TRIAN_MODULE"),
        "xgBoost/.s2i/environment:2: TRIAN_MODULE is not known. Did you mean TRAIN_MODULE?",
    ),
    "package": (
        replacing("xgBoost/.s2i/environment", "=finance_income_prediction.t", "=income.t"),
        "xgBoost/.s2i/environment:2: income.train: expected a module of the package",
    ),
    "function": (
        replacing("xgBoost/predict.py", "def predict_adult_income_xgb", "def answer"),
        "xgBoost/.s2i/environment:1: predict_adult_income_xgb is not in xgBoost/predict.py.",
    ),
    "predict.py": (without("xgBoost/predict.py"), "xgBoost: has no predict.py. Restore it"),
    "requirements": (
        replacing("xgBoost/requirements_train.txt", "numpy==2.4.6", "numpy==2.4.5"),
        "xgBoost/requirements_predict.txt:1: requires numpy==2.4.6, but xgBoost/requirements_train"
        ".txt:1 requires numpy==2.4.5. Use one version in both files.",
    ),
    "requirement line": (
        replacing("xgBoost/requirements_train.txt", "pandas", "-e pandas"),
        "xgBoost/requirements_train.txt:3: ",
    ),
    "windows": (
        replacing("xgBoost/setup.sh", "\n", "\r\n"),
        "xgBoost/setup.sh:1: ends with CR LF, which bash cannot read.",
    ),
    "model name": (
        replacing("xgBoost/Makefile", ":= adult_income_xgb", ":= adult_income_lr"),
        "xgBoost/Makefile:1: logisticRegression has MODEL_NAME adult_income_lr too. Choose another",
    ),
    "invalid model name": (
        replacing("xgBoost/Makefile", ":= adult_income_xgb", ":= XGB"),
        "xgBoost/Makefile:1: MODEL_NAME 'XGB': expected 1 to 63 characters from a-z 0-9 _ -",
    ),
    "container name": (
        replacing("xgBoost/Makefile", ":= adult-income-xgb", ":= XGB"),
        "xgBoost/Makefile:3: CONTAINER_NAME 'XGB': expected lower-case letters",
    ),
    "served name": (
        replacing("xgBoost/predict.py", '@served("adult_income_xgb")', '@served("xgb")'),
        "xgBoost/predict.py:6: serves the model xgb, but MODEL_NAME is adult_income_xgb.",
    ),
    "data set": (
        replacing("xgBoost/Makefile", "data/adult", "data/other"),
        "xgBoost/Makefile: DATASET_NAME 'data/other_income-prepped.csv': no such file.",
    ),
    "description": (
        replacing("data/adult_income-prepped.toml", 'label = "income"', 'label = "wealth"'),
        "data/adult_income-prepped.toml:3: no column 'wealth', but",
    ),
    "unknown column": (
        replacing(INSTANCES, '{"age": 45', '{"height": 3, "age": 45'),
        f"{INSTANCES}:5: row 1: column 'height' is not a column of this model",
    ),
    "missing column": (
        replacing(INSTANCES, '{"age": 45, ', "{"),
        f"{INSTANCES}:5: row 1: column 'age' is missing. Correct the instance",
    ),
    "not JSON": (replacing(INSTANCES, "{", ""), f"{INSTANCES}: is not JSON"),
    "stale file": (
        replacing("all/predict.py", "import", "import  "),
        "all/predict.py: is out of date. Type make generate",
    ),
    "MODEL_DIRS": (
        replacing("all/Makefile", "MODEL_DIRS := ", "MODEL_DIRS := lightGBM "),
        "all/Makefile: MODEL_DIRS: lightGBM is not a model directory",
    ),
    "conflict": (
        replacing("randomForest/requirements_predict.txt", "numpy==2.4.6", "numpy==2.4.5"),
        "all/Makefile: xgBoost requires numpy==2.4.6",
    ),
    "merge": (
        replacing("xgBoost/train.py", "\n\n", "\n\n<<<<<<< HEAD\n"),
        "has a conflict of a merge. Edit the file, then type git add",
    ),
}


@pytest.mark.parametrize("kind", FINDINGS)
def test_check_reports_each_kind_of_finding(clone: Path, kind: str) -> None:
    edit, message = FINDINGS[kind]
    edit(clone)
    done = check(clone)
    assert done.returncode == 78
    assert message in done.stdout, done.stderr


def write_model(clone: Path, **changes: object) -> None:
    """Write a model file of xgBoost, which records its data set and its files."""
    data = {"path": setting("xgBoost", "DATASET_NAME"), "sha256": "0" * 64}
    contents = {"format": 1, "model": b"", "scaler": {}, "modelName": "adult_income_xgb"}
    contents |= {"schema": {}, "golden": {}, "data": data, **changes}
    pickle_model(contents, clone / "models")


def test_check_reports_a_model_file_that_does_not_fit(clone: Path) -> None:
    (clone / "models").mkdir(exist_ok=True)
    write_model(clone, source_digest="1" * 64)
    done = check(clone)
    assert done.returncode == 78
    file = "models/adult_income_xgb.pkl: was trained"
    advice = "Type make -C xgBoost train BUILD=1"
    assert f"{file} on other values of data/adult_income-prepped.csv. {advice}" in done.stdout
    assert f"{file} with other files than those of xgBoost and utils. {advice}" in done.stdout


def test_check_prints_json(clone: Path) -> None:
    replacing("xgBoost/predict.py", '@served("adult_income_xgb")', '@served("xgb")')(clone)
    done = run("python3", "project/check.py", cwd=clone, env={"FORMAT": "json"})
    (found,) = json.loads(done.stdout)["findings"]
    assert (found["check"], found["place"]) == ("names", "xgBoost/predict.py:6")


def test_check_accepts_the_instances_of_every_model(clone: Path) -> None:
    # Control of the findings above: the rows are lists and objects.
    kinds = {type(row) for row in json.loads(example_body("xgBoost"))["payload"]["instances"]}
    assert kinds == {list, dict}
    assert check(clone).returncode == 0
