"""`make new-model`, `make remove-model`: names, files, all/, errors, interruption."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import (
    WITHOUT_CAPABILITIES,
    Completed,
    clean_environment,
    needs_setpriv,
    output_of,
    run,
    without_programs,
)
from support.projects import commit, git, make_template, write_table

REGRESSION = 'label = "charges"\ntask = "regression"\nignore = ["customer id"]\n[columns]\n'
SIGNED = '"signed on" = { kind = "date", format = "%d.%m.%Y" }\n'


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with a history of git and a data set for regression."""
    folder = make_template(tmp_path_factory.mktemp("models"))
    write_table(folder / "data" / "costs.csv", "charges", "regression", rows=200)
    commit(folder, "Add data", **{"data/costs.toml": REGRESSION + SIGNED})
    return folder


@pytest.fixture
def clone(template: Path) -> Iterator[Path]:
    """The clone without the changes of other tests."""
    yield template
    git(template, "reset", "--quiet", "--hard")
    git(template, "clean", "--quiet", "--force", "-d")


def new_model(clone: Path, **variables: str) -> Completed:
    """Run `make new-model` with variables on the command line."""
    arguments = [f"{name}={value}" for name, value in variables.items()]
    return run("make", "-s", "new-model", *arguments, cwd=clone)


def changes(clone: Path) -> list[str]:
    """Return the changed and new files of a clone."""
    return git(clone, "status", "--porcelain", "--untracked-files=all").splitlines()


def test_new_model_names_everything_after_the_directory(clone: Path) -> None:
    output = output_of(new_model(clone, NAME="lightGBM"))
    assert "---> Made lightGBM from xgBoost: classification of income" in output
    texts = {
        name: (clone / "lightGBM" / name).read_text()
        for name in ("Makefile", "README.md", "predict.py", "train.py", ".s2i/environment")
    }
    assert "MODEL_NAME := light_gbm\n" in texts["Makefile"]
    assert "CONTAINER_NAME := light-gbm\n" in texts["Makefile"]
    assert "\nPREDICT_FUNCTION=predict_light_gbm\n" in texts[".s2i/environment"]
    assert '@served("light_gbm")\ndef predict_light_gbm(msg, model):' in texts["predict.py"]
    assert "`POST /light_gbm/predict`" in texts["README.md"]
    assert not [name for name, text in texts.items() if "adult_income_xgb" in text]
    # Control: the names are those of the copied model.
    assert "adult_income_xgb" in (clone / "xgBoost/predict.py").read_text()


def test_new_model_takes_instances_from_the_data_without_expected(clone: Path) -> None:
    output_of(new_model(clone, NAME="lightGBM", JOIN="0"))
    content = json.loads((clone / "lightGBM/test/test_instances.json").read_text())
    assert list(content) == ["payload"]
    first, *others = content["payload"]["instances"]
    assert first[:2] == [39, "workclass_State-gov"]
    assert [row["age"] for row in others] == [52, 50, 38]


def test_new_model_joins_the_combined_image_unless_join_is_0(clone: Path) -> None:
    output_of(new_model(clone, NAME="lightGBM", JOIN="0"))
    assert [line for line in changes(clone) if " all/" in line] == []
    # git does not have the files of the first one.
    assert "git has no files of lightGBM." in new_model(clone, NAME="x", FROM="lightGBM").stderr
    git(clone, "add", "lightGBM")
    output_of(new_model(clone, NAME="second", FROM="lightGBM"))
    assert (
        "MODEL_DIRS := xgBoost logisticRegression randomForest second\n"
        in (clone / "all/Makefile").read_text()
    )


def test_new_model_of_a_regression_gets_the_regressor(clone: Path) -> None:
    for source, estimator in (("xgBoost", "XGBRegressor"), ("logisticRegression", "Ridge")):
        name = f"of_{source}"
        output = output_of(new_model(clone, NAME=name, FROM=source, DATASET_NAME="data/costs.csv"))
        assert "regression of charges" in output
        train = (clone / name / "train.py").read_text()
        assert f" {estimator}(" in train
        assert f"import {estimator}\n" in train
        assert "Classif" not in train
        assert "income" not in train
        compile(train, name, "exec")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "NAME is not set. Type make new-model NAME=lightGBM"),
        ({"NAME": "light-gbm"}, "no word of Python. Try NAME=light_gbm."),
        ({"NAME": "class"}, "NAME=class: expected letters, digits and _"),
        ({"NAME": "random"}, "would be hidden. Try NAME=random_model."),
        ({"NAME": "xgboost"}, "NAME=xgboost: xgBoost exists."),
        ({"NAME": "extra", "FROM": "trees"}, "FROM=trees: expected a directory with predict.py"),
        ({"NAME": "extra", "MODEL_NAME": "light-gbm"}, "Try MODEL_NAME=light_gbm."),
        ({"NAME": "extra", "MODEL_NAME": "lightGBM"}, "Try MODEL_NAME=light_gbm."),
        (
            {"NAME": "extra", "MODEL_NAME": "adult_income_lr"},
            "MODEL_NAME=adult_income_lr: logisticRegression has this MODEL_NAME. Choose another",
        ),
        (
            {"NAME": "extra", "CONTAINER_NAME": "adult-income-lr"},
            "logisticRegression has this CONTAINER_NAME. Choose another one.",
        ),
        ({"NAME": "extra", "CONTAINER_NAME": "A"}, "CONTAINER_NAME=A: expected lower-case"),
        (
            {"NAME": "extra", "DATASET_NAME": "../churn.csv"},
            "expected a file in data/. Copy the file to data/, and set DATASET_NAME=data/churn.csv",
        ),
        (
            {"NAME": "extra", "DATASET_NAME": "data/churn.csv"},
            "no such file. data/ has data/adult_income-prepped.csv, data/costs.csv.",
        ),
    ],
)
def test_new_model_rejects_names_that_cannot_work(
    clone: Path, variables: dict[str, str], message: str
) -> None:
    done = new_model(clone, **variables)
    assert "Error 2" in done.stderr
    assert message in done.stderr
    assert changes(clone) == []


def test_new_model_rejects_a_route_that_exists(clone: Path) -> None:
    environment = clone / "xgBoost/.s2i/environment"
    text = environment.read_text()
    environment.write_text(text.replace("adult_income_xgb/predict:", "light_gbm/predict:"))
    done = new_model(clone, NAME="lightGBM", FROM="randomForest")
    assert "Error 2" in done.stderr
    assert "xgBoost has the route light_gbm/predict. Choose another one." in done.stderr


def test_new_model_rejects_a_source_with_other_names(clone: Path) -> None:
    environment = clone / "xgBoost/.s2i/environment"
    text = environment.read_text()
    environment.write_text(text.replace("adult_income_xgb/predict:", "income/predict:"))
    done = new_model(clone, NAME="extra", FROM="xgBoost", JOIN="0")
    assert "Error 78" in done.stderr
    assert "found route income/predict and function predict_adult_income_xgb" in done.stderr
    assert not (clone / "extra").exists()


def test_new_model_names_the_command_for_data_without_description(clone: Path) -> None:
    write_table(clone / "data" / "churn.csv", "churned", "classification", rows=50)
    done = new_model(clone, NAME="extra", DATASET_NAME="data/churn.csv")
    assert "Error 78" in done.stderr
    assert "Type make describe DATASET_NAME=data/churn.csv LABEL=COLUMN" in done.stderr


def test_new_model_reports_a_wrong_label(clone: Path) -> None:
    text = (clone / "data/costs.toml").read_text()
    (clone / "data/costs.toml").write_text(text.replace('"charges"', '"charge"', 1))
    done = new_model(clone, NAME="extra", DATASET_NAME="data/costs.csv")
    assert "Error 78" in done.stderr
    assert "'charge'" in done.stderr
    assert not (clone / "extra").exists()


def test_new_model_ignores_variables_of_the_shell(clone: Path) -> None:
    done = run("make", "-s", "new-model", cwd=clone, env={"NAME": "host", "FROM": "xgBoost"})
    assert "Error 2" in done.stderr
    assert "NAME is not set" in done.stderr


def test_new_model_reports_a_missing_git(clone: Path, tmp_path: Path) -> None:
    path = without_programs(tmp_path / "bin", {}, hidden=("git",))
    command = ("make", "-s", "new-model", "NAME=extra")
    done = run(*command, cwd=clone, env={"PATH": path})
    assert "Error 69" in done.stderr
    assert "new-model: git is not on the PATH. Install it" in done.stderr
    assert not (clone / "extra").exists()


def test_new_model_removes_the_directory_if_models_conflict(clone: Path) -> None:
    requirements = clone / "randomForest/requirements_predict.txt"
    requirements.write_text(requirements.read_text().replace("numpy==2.4.6", "numpy==2.4.5"))
    before = changes(clone)
    done = new_model(clone, NAME="extra")
    assert "Error 78" in done.stderr
    assert "requires numpy==2.4.5" in done.stderr
    assert changes(clone) == before


def test_new_model_removes_the_directory_on_ctrl_c(clone: Path) -> None:
    # The generator waits until the signal arrives.
    generator = clone / "all/generate.py"
    generator.write_text("import time\ntime.sleep(60)\n")
    process = subprocess.Popen(
        ["make", "-s", "new-model", "NAME=extra"],
        cwd=clone,
        env=clean_environment(),
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    deadline = time.monotonic() + 60
    while "extra" not in (clone / "all/Makefile").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (clone / "extra").is_dir()
    os.killpg(process.pid, signal.SIGINT)
    assert "interrupted. Nothing was changed." in process.communicate(timeout=60)[1]
    assert changes(clone) == [" M all/generate.py"] or changes(clone) == ["M all/generate.py"]


def test_remove_model_undoes_new_model(clone: Path) -> None:
    output_of(new_model(clone, NAME="lightGBM"))
    assert "lightGBM" in (clone / "all/predict.py").read_text()
    done = run("make", "-s", "remove-model", "NAME=lightGBM", cwd=clone)
    assert "Error 1" in done.stderr
    assert "Commit them, or set FORCE=1 to remove them." in done.stderr
    assert (clone / "lightGBM").is_dir()
    output_of(run("make", "-s", "remove-model", "NAME=lightGBM", "FORCE=1", cwd=clone))
    assert changes(clone) == []


def test_remove_model_removes_a_directory_that_is_committed(clone: Path) -> None:
    output_of(run("make", "-s", "remove-model", "NAME=xgBoost", cwd=clone))
    assert not (clone / "xgBoost").exists()
    assert "xgb" not in (clone / "all/predict.py").read_text()
    # A project without xgBoost copies the first model of MODEL_DIRS.
    assert "from logisticRegression" in output_of(new_model(clone, NAME="extra"))


def test_remove_model_rejects_other_directories(clone: Path) -> None:
    for name in ("utils", "all", "../x", ""):
        done = run("make", "-s", "remove-model", f"NAME={name}", cwd=clone)
        assert "Error 2" in done.stderr
        assert "expected a model directory: logisticRegression" in done.stderr
    assert changes(clone) == []


def test_new_model_copies_only_files_of_git(clone: Path) -> None:
    (clone / "xgBoost/notes.txt").write_text("mine")
    output_of(new_model(clone, NAME="extra", JOIN="0"))
    assert not (clone / "extra/notes.txt").exists()
    shutil.rmtree(clone / "extra")


def test_new_model_needs_a_repository(clone: Path) -> None:
    (clone / ".git").rename(clone / "hidden")
    try:
        done = new_model(clone, NAME="extra")
    finally:
        (clone / "hidden").rename(clone / ".git")
    assert "is not a git repository. Type git init && git add . && git commit" in done.stderr
    assert not (clone / "extra").exists()


@pytest.mark.parametrize("name", ["dateutil", "json", "yaml", "pandas"])
def test_new_model_rejects_the_name_of_a_module(clone: Path, name: str) -> None:
    done = new_model(clone, NAME=name)
    assert (done.returncode, changes(clone)) == (2, [])
    assert f"NAME={name}: a module of Python or a package has this name" in done.stderr


@pytest.mark.parametrize("name", ["a#b.csv", "a$b.csv", "a\\1b.csv"])
def test_new_model_rejects_a_data_name_that_a_makefile_changes(clone: Path, name: str) -> None:
    shutil.copy(clone / "data/costs.csv", clone / "data" / name)
    shutil.copy(clone / "data/costs.toml", (clone / "data" / name).with_suffix(".toml"))
    done = run(
        sys.executable,
        "project/new_model.py",
        cwd=clone,
        env={"NAME": "other", "DATASET_NAME": f"data/{name}"},
    )
    assert done.returncode == 2
    assert "expected a name without #, $ and \\" in done.stderr
    assert not (clone / "other").exists()


def test_new_model_accepts_other_forms_of_a_path(clone: Path) -> None:
    output_of(new_model(clone, NAME="other", FROM="xgBoost/", DATASET_NAME="./data/costs.csv"))
    assert "DATASET_NAME := data/costs.csv\n" in (clone / "other/Makefile").read_text()


def test_a_comment_after_model_dirs_is_kept(clone: Path) -> None:
    makefile = clone / "all/Makefile"
    makefile.write_text(re.sub(r"(MODEL_DIRS := .*)", r"\1 # my models", makefile.read_text()))
    output_of(new_model(clone, NAME="other"))
    line = next(line for line in makefile.read_text().splitlines() if "MODEL_DIRS :=" in line)
    assert line.endswith(" other# my models")


@needs_setpriv
def test_a_directory_that_cannot_be_removed_changes_nothing(clone: Path) -> None:
    output_of(new_model(clone, NAME="other"))
    before = changes(clone)
    (clone / "other").chmod(0o555)
    command = [*WITHOUT_CAPABILITIES, sys.executable, "project/remove_model.py"]
    done = run(*command, cwd=clone, env={"NAME": "other", "FORCE": "1"})
    (clone / "other").chmod(0o755)
    assert (done.returncode, changes(clone)) == (1, before)
    assert "Permission denied" in done.stderr
