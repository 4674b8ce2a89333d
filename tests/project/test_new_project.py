"""make new-project makes a project of a user's own."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from support.commands import clean_environment, make, output_of, run, wait_until, without_programs
from support.network import free_port
from support.projects import git, make_project, make_template, share_packages, write_table

LABELS = {"classification": "left", "regression": "price"}
FORBIDDEN = ("git", "grep", "-iE", "adult|income|finance")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A template with a history of git."""
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with a label of two classes."""
    return write_table(tmp_path_factory.mktemp("data") / "my data.csv", "left", "classification")


@pytest.mark.parametrize("task", LABELS)
def test_new_project_passes_its_demo_and_its_tests(
    template: Path, tmp_path: Path, task: str
) -> None:
    project = tmp_path / "my churn"
    label = LABELS[task]
    table = write_table(tmp_path / "a table.csv", label, task)
    made = output_of(make_project(template, TO=project, DATA=table, LABEL=label))
    assert f"linear, forest, boosting ({task} of {label})\n" in made

    assert run(*FORBIDDEN, cwd=project).stdout == ""
    assert run(*FORBIDDEN, cwd=template).stdout != ""
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "remote", "get-url", "template") == str(template)
    assert git(project, "merge-base", "HEAD", "template/main") == git(template, "rev-parse", "HEAD")
    assert git(project, "for-each-ref", "--format=%(refname)", "refs/heads") == "refs/heads/main"

    share_packages(project)
    demo = make(project, ".", "demo", ENGINE="local", PORT=free_port())
    assert "POST /my_churn_boosting/predict: 4 predictions: [" in output_of(demo)
    assert "no findings" in output_of(make(project, ".", "check"))
    assert " passed" in output_of(make(project, ".", "test", ENGINE="local"))
    assert git(project, "status", "--porcelain") == ""

    # The tests fail if the answers differ from the expected ones.
    instances = project / "linear/test/test_instances.json"
    content = json.loads(instances.read_text())
    instances.write_text(json.dumps({**content, "expected": [-1, -1, -1, -1]}))
    failed = make(project, ".", "test", ENGINE="local")
    assert "1 failed" in failed.stdout


def test_description_next_to_the_data_is_used(template: Path, table: Path, tmp_path: Path) -> None:
    description = 'label = "left"\n[columns]\nage = "number"\n'
    own = tmp_path / "own.csv"
    own.write_bytes(table.read_bytes())
    own.with_suffix(".toml").write_text(description)
    output_of(make_project(template, TO=tmp_path / "own", DATA=own, LABEL="left"))
    assert (tmp_path / "own/data/own.toml").read_text() == description


def test_description_of_data_that_need_a_decision_is_kept(template: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "own.csv", "left", "classification")
    table.write_text(table.read_text().replace(",no\n", ",\n", 5))
    command = {"TO": tmp_path / "own", "DATA": table, "LABEL": "left"}
    done = make_project(template, **command)
    assert "5 of 600 rows have no label 'left'" in done.stderr
    assert f"---> Wrote {tmp_path / 'own.toml'}. Edit it as the reason says" in done.stdout
    assert not (tmp_path / "own").exists()

    description = tmp_path / "own.toml"
    text = description.read_text()
    decided = text.replace('kind = "category"}', 'kind = "category", missing = [""]}', 1)
    description.write_text(decided)
    output_of(make_project(template, **command))
    assert (tmp_path / "own/data/own.toml").read_text() == decided


# The table and the folder of these are valid, except for the named variable.
WRONG = {
    "no TO": ({"TO": ""}, "TO is not set. Type make new-project TO=../churn"),
    "no label": ({"LABEL": ""}, "LABEL is not set. Type make new-project TO=../churn"),
    "no file": ({"DATA": "no.csv"}, "DATA=no.csv: no such file. Type make new-project"),
    "another file": ({"DATA": "README.md"}, "expected a .csv or .parquet file, found .md"),
    "inside": ({"TO": "churn"}, "is inside the template. Choose TO=../NAME."),
    "not empty": ({"TO": "/usr"}, "TO=/usr: is not an empty folder. Choose another folder"),
    "a dash": ({"NAME": "my-churn"}, "joined by single _. Try NAME=my_churn."),
    "a capital": ({"NAME": "Churn"}, "joined by single _. Try NAME=churn."),
    "a keyword": ({"NAME": "class"}, "joined by single _. Try NAME=class_project."),
    "a wrong label": ({"LABEL": "lefd"}, "LABEL=lefd: no such column. "),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_variable_is_reported_and_nothing_is_left(
    template: Path, table: Path, tmp_path: Path, case: str
) -> None:
    changed, message = WRONG[case]
    target = tmp_path / "churn"
    variables = {"TO": target, "DATA": table, "LABEL": "left", **changed}
    done = make_project(template, **variables)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not target.exists()
    assert git(template, "status", "--porcelain") == ""


def test_wrong_label_lists_the_columns_and_a_close_one(
    template: Path, table: Path, tmp_path: Path
) -> None:
    done = make_project(template, TO=tmp_path / "churn", DATA=table, LABEL="lefd")
    assert "left" in done.stderr
    assert "new-project: the data cannot be used. The reason is above.\n" in done.stderr


def test_variables_of_the_shell_do_not_count(template: Path, table: Path, tmp_path: Path) -> None:
    exported = {"NAME": "Another", "LABEL": "age"}
    target = f"TO={tmp_path / 'churn'}"
    done = run("make", "-s", "new-project", target, f"DATA={table}", cwd=template, env=exported)
    assert done.stderr.startswith("new-project: LABEL is not set.")
    given = (target, f"DATA={table}", "LABEL=left")
    output_of(run("make", "-s", "new-project", *given, cwd=template, env=exported))
    assert "PACKAGE := churn_prediction" in (tmp_path / "churn/project.mk").read_text()


def test_without_an_identity_of_git_another_one_commits(
    template: Path, table: Path, tmp_path: Path
) -> None:
    nobody = {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "user.useConfigOnly",
        "GIT_CONFIG_VALUE_0": "true",
    }
    project = tmp_path / "churn"
    arguments = (f"TO={project}", f"DATA={table}", "LABEL=left")
    output_of(run("make", "-s", "new-project", *arguments, cwd=template, env=nobody))
    assert git(project, "log", "-1", "--format=%an") == "template"


def test_without_git_or_a_history_nothing_is_made(
    template: Path, table: Path, clone: Path, tmp_path: Path
) -> None:
    arguments = {"TO": tmp_path / "churn", "DATA": table, "LABEL": "left"}
    done = make_project(clone, **arguments)
    assert "has no history of git. Clone the template with git" in done.stderr

    path = without_programs(tmp_path / "bin", {}, hidden=("git",))
    given = [f"{name}={value}" for name, value in arguments.items()]
    done = run("make", "-s", "new-project", *given, cwd=template, env={"PATH": path})
    assert "git is not on the PATH. Install it" in done.stderr
    assert not (tmp_path / "churn").exists()


def test_changes_that_are_not_committed_are_reported(
    template: Path, table: Path, tmp_path: Path
) -> None:
    file = template / "utils/__init__.py"
    before = file.read_text()
    file.write_text("# changed\n")
    done = make_project(template, TO=tmp_path / "churn", DATA=table, LABEL="left")
    file.write_text(before)
    warning = "---> Warning: changes that are not committed are left out: utils/__init__.py\n"
    assert warning in output_of(done)
    assert (tmp_path / "churn/utils/__init__.py").read_text() == before


def test_interrupted_command_leaves_nothing(template: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "large.csv", "left", "classification", rows=20_000)
    target = tmp_path / "churn"
    target.mkdir()
    given = {"TO": str(target), "DATA": str(table), "LABEL": "left"}
    program = subprocess.Popen(
        ["python3", "project/new_project.py"],
        cwd=template,
        env=clean_environment(**given),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: (target / "data/churn.csv").exists(), 20)
    os.killpg(program.pid, signal.SIGINT)
    _, errors = program.communicate(timeout=20)
    assert program.returncode == 130
    assert errors.endswith("new-project: interrupted. The unfinished folder was removed.\n")
    assert list(target.iterdir()) == []
