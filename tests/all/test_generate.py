"""all/generate.py: the four files of the combined application, and its errors."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from support.commands import ROOT, Completed, make, run
from support.models import MODEL_DIRS, setting

FILES = (".s2i/environment", "predict.py", "requirements.txt", "setup.sh")
ONE, OTHER = MODEL_DIRS[:2]
COMBINED = setting("all", "MODEL_DIRS").split()


def generate(clone: Path, *arguments: str | Path) -> Completed:
    return run(sys.executable, "all/generate.py", *arguments, cwd=clone)


def texts(directory: Path) -> dict[str, str]:
    """Return the four generated files' texts by name."""
    return {name: (directory / name).read_text() for name in FILES}


def refusal(clone: Path, *directories: str) -> str:
    """Return the error of a failed `generate`; check that it wrote nothing."""
    done = generate(clone, "all", *directories)
    assert (done.returncode, done.stdout) == (78, "")
    assert texts(clone / "all") == texts(ROOT / "all")
    return done.stderr


def test_the_committed_files_are_what_generate_writes(clone: Path) -> None:
    for name in FILES:
        (clone / "all" / name).write_text("stale\n")
    done = make(clone, "all", "generate")
    assert (done.returncode, done.stderr) == (0, "")
    assert texts(clone / "all") == texts(ROOT / "all")


def test_every_model_directory_is_combined() -> None:
    assert sorted(COMBINED) == MODEL_DIRS


def test_a_changed_model_changes_the_files(clone: Path) -> None:
    environment = clone / ONE / ".s2i/environment"
    environment.write_text(environment.read_text().replace("/predict:", "/answer:"))
    assert generate(clone, "all", *COMBINED).returncode == 0
    assert texts(clone / "all") != texts(ROOT / "all")


def test_into_another_directory_the_models_come_along(clone: Path) -> None:
    output = clone.parent / "app"
    output.mkdir()
    assert generate(clone, output, OTHER, ONE).returncode == 0
    assert {path.name for path in output.iterdir() if path.is_dir()} == {".s2i", ONE, OTHER}
    for model in (ONE, OTHER):
        assert (output / model / "predict.py").read_text() == (
            ROOT / model / "predict.py"
        ).read_text()
        assert not (output / model / ".s2i").exists()
    assert texts(clone / "all") == texts(ROOT / "all")


def test_one_model_alone_keeps_its_route_and_function(clone: Path) -> None:
    name = setting(ONE, "MODEL_NAME")
    output = clone.parent / "app"
    output.mkdir()
    assert generate(clone, output, ONE).returncode == 0
    assert (output / ".s2i/environment").read_text().splitlines()[1:] == [
        f"ROUTES={name}/predict:finance_income_prediction.predict:predict_{name}"
    ]
    assert f"from .{ONE}.predict import predict_{name}\n" in (output / "predict.py").read_text()


def copy_of(clone: Path, model: str, changes: dict[str, str]) -> str:
    """Copy a model directory and apply text replacements to its environment file."""
    shutil.copytree(clone / model, clone / "another")
    environment = clone / "another/.s2i/environment"
    text = environment.read_text()
    for old, new in changes.items():
        text = text.replace(old, new)
    environment.write_text(text)
    return "another"


def test_a_shared_route_is_refused_naming_both_owners(clone: Path) -> None:
    name = setting(ONE, "MODEL_NAME")
    other = copy_of(clone, ONE, {f"predict_{name}": "predict_another"})
    assert refusal(clone, ONE, other) == (
        f"generate: route {name}/predict is in both {ONE} and {other}. Rename one of them.\n"
    )


def test_a_shared_function_is_refused_naming_both_owners(clone: Path) -> None:
    name = setting(ONE, "MODEL_NAME")
    other = copy_of(clone, ONE, {f"{name}/predict:": "another/predict:"})
    assert refusal(clone, ONE, other) == (
        f"generate: function predict_{name} is in both {ONE} and {other}. Rename one of them.\n"
    )


def test_models_of_two_packages_are_refused(clone: Path) -> None:
    name = setting(ONE, "MODEL_NAME")
    changes = {name: "another", "finance_income_prediction": "house"}
    assert refusal(clone, ONE, copy_of(clone, ONE, changes)) == (
        "generate: the models' ROUTES name several packages: finance_income_prediction, house\n"
    )


@pytest.mark.parametrize(
    "pin", ["numpy==1.0", "NumPy == 1.0", "numpy>=1", 'numpy==1.0; sys_platform == "linux"']
)
def test_two_pins_of_one_package_are_refused_naming_both_owners(clone: Path, pin: str) -> None:
    requirements = clone / OTHER / "requirements_predict.txt"
    pinned = next(
        line for line in requirements.read_text().splitlines() if line.startswith("numpy")
    )
    requirements.write_text(f"{pin}\n")
    assert (
        refusal(clone, ONE, OTHER)
        == f"generate: {ONE} requires {pinned} and {OTHER} requires {pin}. Use one version.\n"
    )


def test_equal_pins_and_comments_are_no_clash(clone: Path) -> None:
    requirements = clone / OTHER / "requirements_predict.txt"
    requirements.write_text("# a reason\n\n  " + requirements.read_text())
    assert generate(clone, "--check", *COMBINED).returncode == 0


def test_the_same_package_with_a_comment_behind_it_is_no_clash(clone: Path) -> None:
    requirements = clone / OTHER / "requirements_predict.txt"
    requirements.write_text(requirements.read_text().replace("\n", "  # a reason\n"))
    assert requirements.read_text().count("#") == 2
    assert generate(clone, "--check", *COMBINED).returncode == 0


@pytest.mark.parametrize(
    "name", ["nowhere", "data", "../logisticRegression", "/etc", "", "a b", "-h", "ünï"]
)
def test_what_is_no_model_directory_is_named(clone: Path, name: str) -> None:
    assert refusal(clone, ONE, name) == (
        f"generate: MODEL_DIRS: {name!r} is not a model directory (it has no predict.py)\n"
    )


def test_a_model_named_twice_is_refused(clone: Path) -> None:
    assert refusal(clone, ONE, OTHER, ONE) == (
        f"generate: MODEL_DIRS: {ONE} is listed twice. List it once.\n"
    )


def test_a_bad_environment_file_is_named(clone: Path) -> None:
    (clone / ONE / ".s2i/environment").write_text("ROUTES=\n")
    error = refusal(clone, OTHER, ONE)
    assert error.startswith("generate: ")
    assert f"{ONE}/.s2i/environment: ROUTES is not set" in error


def test_all_itself_is_no_model_of_all(clone: Path) -> None:
    assert "'all' is not a model directory" in refusal(clone, ONE, "all")


def test_setup_scripts_run_in_the_order_of_the_models(clone: Path) -> None:
    for model in (ONE, OTHER):
        (clone / model / "setup.sh").write_text("true\n")
    for order in ([ONE, OTHER], [OTHER, ONE]):
        assert generate(clone, "all", *order).returncode == 0
        lines = texts(clone / "all")["setup.sh"].splitlines()
        called = [line for line in lines if line.startswith("bash ")]
        assert called == [f"bash finance_income_prediction/{model}/setup.sh" for model in order]


def test_a_failed_setup_script_stops_the_others(clone: Path) -> None:
    for model, text in ((ONE, "exit 3\n"), (OTHER, "touch ran\n")):
        (clone / model / "setup.sh").write_text(text)
    app = clone / "finance_income_prediction"
    app.mkdir()
    assert generate(clone, app, ONE, OTHER).returncode == 0
    assert run("bash", app / "setup.sh", cwd=clone).returncode == 3
    assert not (clone / "ran").exists()


def test_models_without_requirements_and_setup_need_none(clone: Path) -> None:
    for file in [*clone.glob("*/requirements_predict.txt"), *clone.glob("*/setup.sh")]:
        file.unlink()
    assert generate(clone, "all", *COMBINED).returncode == 0
    lines = {name: text.splitlines() for name, text in texts(clone / "all").items()}
    assert (len(lines["requirements.txt"]), lines["setup.sh"][2:]) == (1, ["set -euo pipefail"])


def test_requirements_txt_stands_in_for_requirements_predict(clone: Path) -> None:
    for model in MODEL_DIRS:
        (clone / model / "requirements_predict.txt").rename(clone / model / "requirements.txt")
    assert generate(clone, "all", *COMBINED).returncode == 0
    assert texts(clone / "all") == texts(ROOT / "all")


@pytest.mark.parametrize("arguments", [[], ["all"], ["--check"]])
def test_wrong_use_prints_the_usage(arguments: list[str]) -> None:
    done = generate(ROOT, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search("^Usage: .*all/generate.py OUTPUT MODEL_DIR...", done.stderr, re.MULTILINE)


def files(clone: Path) -> list[Path]:
    """Return all files but Python's bytecode."""
    return sorted(path for path in clone.rglob("*") if "__pycache__" not in path.parts)


def test_check_writes_nothing(clone: Path) -> None:
    before = files(clone)
    assert generate(clone, "--check", ONE).returncode == 0
    assert files(clone) == before
    assert texts(clone / "all") == texts(ROOT / "all")
