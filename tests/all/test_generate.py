"""all/generate.py: the combined application's four files, and what it refuses."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import MODEL_DIRS, ROOT, make_clone, run, setting

FILES = (".s2i/environment", "predict.py", "requirements.txt", "setup.sh")
ONE, OTHER = MODEL_DIRS[:2]
COMBINED = setting("all", "MODEL_DIRS").split()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A clone that a test may spoil."""
    return make_clone(tmp_path)


def generate(project: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "all/generate.py", *arguments, cwd=project)


def texts(directory: Path) -> dict[str, str]:
    return {name: (directory / name).read_text() for name in FILES}


def refusal(project: Path, *directories: str) -> str:
    """What generate says when it refuses; it must then have written nothing."""
    done = generate(project, "all", *directories)
    assert (done.returncode, done.stdout) == (78, "")
    assert texts(project / "all") == texts(ROOT / "all")
    return done.stderr


def test_the_committed_files_are_what_generate_writes(project: Path) -> None:
    for name in FILES:
        (project / "all" / name).write_text("stale\n")
    done = run("make", "-s", "-C", "all", "generate", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert texts(project / "all") == texts(ROOT / "all")


def test_every_model_directory_is_combined() -> None:
    assert sorted(COMBINED) == MODEL_DIRS


def test_a_changed_model_changes_the_files(project: Path) -> None:
    environment = project / ONE / ".s2i/environment"
    environment.write_text(environment.read_text().replace("/predict:", "/answer:"))
    assert generate(project, "all", *COMBINED).returncode == 0
    assert texts(project / "all") != texts(ROOT / "all")


def test_into_another_directory_the_models_come_along(project: Path) -> None:
    output = project.parent / "app"
    output.mkdir()
    assert generate(project, output, OTHER, ONE).returncode == 0
    assert {path.name for path in output.iterdir() if path.is_dir()} == {".s2i", ONE, OTHER}
    for model in (ONE, OTHER):
        assert (output / model / "predict.py").read_text() == (
            ROOT / model / "predict.py"
        ).read_text()
        assert not (output / model / ".s2i").exists()
    assert texts(project / "all") == texts(ROOT / "all")


def test_one_model_alone_keeps_its_route_and_function(project: Path) -> None:
    name = setting(ONE, "MODEL_NAME")
    output = project.parent / "app"
    output.mkdir()
    assert generate(project, output, ONE).returncode == 0
    assert (output / ".s2i/environment").read_text().splitlines()[1:] == [
        f"ROUTES={name}/predict:finance_income_prediction.predict:predict_{name}"
    ]
    assert f"from .{ONE}.predict import predict_{name}\n" in (output / "predict.py").read_text()


def copy_of(project: Path, model: str, changes: dict[str, str]) -> str:
    """A new model directory made of another; `changes` replace texts in its environment."""
    shutil.copytree(project / model, project / "another")
    environment = project / "another/.s2i/environment"
    text = environment.read_text()
    for old, new in changes.items():
        text = text.replace(old, new)
    environment.write_text(text)
    return "another"


def test_a_shared_route_is_refused_naming_both_owners(project: Path) -> None:
    name = setting(ONE, "MODEL_NAME")
    other = copy_of(project, ONE, {f"predict_{name}": "predict_another"})
    assert refusal(project, ONE, other) == (
        f"generate: route {name}/predict is in both {ONE} and {other}; rename one of them\n"
    )


def test_a_shared_function_is_refused_naming_both_owners(project: Path) -> None:
    name = setting(ONE, "MODEL_NAME")
    other = copy_of(project, ONE, {f"{name}/predict:": "another/predict:"})
    assert refusal(project, ONE, other) == (
        f"generate: function predict_{name} is in both {ONE} and {other}; rename one of them\n"
    )


def test_models_of_two_packages_are_refused(project: Path) -> None:
    name = setting(ONE, "MODEL_NAME")
    changes = {name: "another", "finance_income_prediction": "house"}
    assert refusal(project, ONE, copy_of(project, ONE, changes)) == (
        "generate: the models' ROUTES name several packages: finance_income_prediction, house\n"
    )


@pytest.mark.parametrize(
    "pin", ["numpy==1.0", "NumPy == 1.0", "numpy>=1", 'numpy==1.0; sys_platform == "linux"']
)
def test_two_pins_of_one_package_are_refused_naming_both_owners(project: Path, pin: str) -> None:
    requirements = project / OTHER / "requirements_predict.txt"
    pinned = next(
        line for line in requirements.read_text().splitlines() if line.startswith("numpy")
    )
    requirements.write_text(f"{pin}\n")
    assert (
        refusal(project, ONE, OTHER)
        == f"generate: {ONE} wants {pinned} and {OTHER} wants {pin}; agree on one\n"
    )


def test_equal_pins_and_comments_are_no_clash(project: Path) -> None:
    requirements = project / OTHER / "requirements_predict.txt"
    requirements.write_text("# a reason\n\n  " + requirements.read_text())
    assert generate(project, "--check", *COMBINED).returncode == 0


def test_the_same_package_with_a_comment_behind_it_is_no_clash(project: Path) -> None:
    requirements = project / OTHER / "requirements_predict.txt"
    requirements.write_text(requirements.read_text().replace("\n", "  # a reason\n"))
    assert (
        generate(project, "--check", *COMBINED).returncode,
        requirements.read_text().count("#"),
    ) == (0, 2)


@pytest.mark.parametrize(
    "name", ["nowhere", "data", "../logisticRegression", "/etc", "", "a b", "-h", "ünï"]
)
def test_what_is_no_model_directory_is_named(project: Path, name: str) -> None:
    assert refusal(project, ONE, name) == (
        f"generate: MODEL_DIRS: {name!r} is not a model directory (it has no predict.py)\n"
    )


def test_a_model_named_twice_is_refused(project: Path) -> None:
    assert refusal(project, ONE, OTHER, ONE) == (
        f"generate: MODEL_DIRS: {ONE} is named twice; name it once\n"
    )


def test_a_bad_environment_file_is_named(project: Path) -> None:
    (project / ONE / ".s2i/environment").write_text("ROUTES=\n")
    said = refusal(project, OTHER, ONE)
    assert said.startswith("generate: ") and f"{ONE}/.s2i/environment: ROUTES is not set" in said


def test_all_itself_is_no_model_of_all(project: Path) -> None:
    assert "'all' is not a model directory" in refusal(project, ONE, "all")


def test_setup_scripts_run_in_the_order_of_the_models(project: Path) -> None:
    for model in (ONE, OTHER):
        (project / model / "setup.sh").write_text("true\n")
    orders = [[ONE, OTHER], [OTHER, ONE]]
    for order in orders:
        assert generate(project, "all", *order).returncode == 0
        called = [
            line
            for line in texts(project / "all")["setup.sh"].splitlines()
            if line.startswith("bash ")
        ]
        assert called == [f"bash finance_income_prediction/{model}/setup.sh" for model in order]


def test_a_failed_setup_script_stops_the_others(project: Path) -> None:
    for model, text in ((ONE, "exit 3\n"), (OTHER, "touch ran\n")):
        (project / model / "setup.sh").write_text(text)
    app = project / "finance_income_prediction"
    app.mkdir()
    assert generate(project, app, ONE, OTHER).returncode == 0
    assert run("bash", app / "setup.sh", cwd=project).returncode == 3
    assert not (project / "ran").exists()


def test_models_without_requirements_and_setup_need_none(project: Path) -> None:
    for file in [*project.glob("*/requirements_predict.txt"), *project.glob("*/setup.sh")]:
        file.unlink()
    assert generate(project, "all", *COMBINED).returncode == 0
    lines = {name: text.splitlines() for name, text in texts(project / "all").items()}
    assert (len(lines["requirements.txt"]), lines["setup.sh"][2:]) == (1, ["set -euo pipefail"])


def test_requirements_txt_stands_in_for_requirements_predict(project: Path) -> None:
    for model in MODEL_DIRS:
        (project / model / "requirements_predict.txt").rename(project / model / "requirements.txt")
    assert generate(project, "all", *COMBINED).returncode == 0
    assert texts(project / "all") == texts(ROOT / "all")


@pytest.mark.parametrize("arguments", [[], ["all"], ["--check"]])
def test_wrong_use_prints_the_usage(arguments: list[str]) -> None:
    done = generate(ROOT, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search("^Usage: .*all/generate.py OUTPUT MODEL_DIR...", done.stderr, re.MULTILINE)


def files(project: Path) -> list[Path]:
    """All files, but for the bytecode that Python keeps."""
    return sorted(path for path in project.rglob("*") if "__pycache__" not in path.parts)


def test_check_writes_nothing(project: Path) -> None:
    before = files(project)
    assert generate(project, "--check", ONE).returncode == 0
    assert files(project) == before
    assert texts(project / "all") == texts(ROOT / "all")
