"""make update-template merges a later version of the template into a project."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import ROOT, Completed, make, output_of, run
from support.projects import (
    IDENTITY,
    commit,
    git,
    make_project,
    make_template,
    share_packages,
    write_table,
)

NEWER = {
    "CHANGELOG.md": "### Added\n- A new target, `make shine`.\n",
    "README.md": "# Another title\n",
    "Makefile": "\nshine: ##- shine\n\t@echo shining\n",
    "docs/engines.md": "\nAnother sentence.\n",
    "utils/errors.py": "\nSHINE = 1\n",
    "xgBoost/train.py": "\n# Another comment.\n",
    "logisticRegression/train.py": "\n# Another comment.\n",
    "all/generate.py": "\n# Another comment.\n",
    "data/README.md": "\nAnother sentence.\n",
}
NUMPY = re.findall(r"^numpy==([\d.]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[0]
NEW_FILES = {
    "bench/shine.py": "SHINE = 1\n",
    "tests/test_shine.py": "def test_it():\n    assert True\n",
    "docs/shine.md": "# Shine\n",
    "engines/shine.py": "SHINE = 1\n",
}


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A template with the later version v9.9.9, and a project of the first one."""
    folder = tmp_path_factory.mktemp("update")
    template = make_template(folder)
    table = write_table(folder / "table.csv", "left", "classification")
    project = folder / "the churn"
    output_of(make_project(template, TO=project, DATA=table, LABEL="left"))
    share_packages(project)

    texts = {name: (template / name).read_text() + text for name, text in NEWER.items()}
    commit(template, "Shine", **texts, **NEW_FILES)
    git(template, "tag", "v9.9.9")
    git(template, "checkout", "--quiet", "-b", "newer-packages")
    pins = (template / "constraints.txt").read_text()
    newer = pins.replace(f"numpy=={NUMPY}", "numpy==99.0.0")
    commit(template, "Update numpy", **{"constraints.txt": newer})
    git(template, "checkout", "--quiet", "main")
    return template, project


Copy = Callable[[], Path]


@pytest.fixture
def copy(versions: tuple[Path, Path], tmp_path: Path) -> Copy:
    """A function that returns a copy of the project."""

    def copied() -> Path:
        return Path(shutil.copytree(versions[1], tmp_path / "a project", symlinks=True))

    return copied


def update(project: Path, *arguments: str, **variables: str) -> Completed:
    """Run `make update-template`."""
    return run("make", "-s", "update-template", *arguments, cwd=project, env=variables)


def edit_as_a_user(project: Path) -> None:
    """Edit names, routes, data, README and every train.py, and add a model."""
    for directory in ("linear", "forest", "boosting"):
        for name in (".s2i/environment", "Makefile", "predict.py", "train.py"):
            file = project / directory / name
            text = file.read_text().replace("the_churn", "leaving").replace("the-churn", "leaving")
            file.write_text(text.replace("random_state=0", "random_state=1"))
    names = project / "project.mk"
    names.write_text(names.read_text().replace("the_churn", "leaving"))
    shutil.copytree(project / "linear", project / "ridge")
    for name in (".s2i/environment", "Makefile", "predict.py", "train.py"):
        file = project / "ridge" / name
        file.write_text(re.sub("leaving([_-])linear", r"leaving\1ridge", file.read_text()))
    makefile = project / "all/Makefile"
    makefile.write_text(makefile.read_text().replace("MODEL_DIRS := ", "MODEL_DIRS := ridge "))
    output_of(make(project, ".", "generate"))
    for suffix in (".csv", ".toml"):
        file = project / "data/the_churn.csv"
        file.with_suffix(suffix).rename(project / f"data/leaving{suffix}")
    table = project / "data/leaving.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:500]))
    commit(project, "Edit", **{"README.md": "# Mine\n", "docs/mine.md": "# My page\n"})


def test_update_keeps_what_users_edit_and_takes_the_rest(
    versions: tuple[Path, Path], copy: Copy
) -> None:
    project = copy()
    edit_as_a_user(project)
    before = git(project, "rev-parse", "HEAD")
    output = output_of(update(project, "TO=v9.9.9"))

    assert "     - A new target, `make shine`.\n" in output
    assert git(project, "status", "--porcelain") == ""
    parents = git(project, "log", "-1", "--format=%P").split()
    assert parents == [before, git(versions[0], "rev-parse", "v9.9.9")]
    changed = set(git(project, "diff", "--name-only", before, "HEAD").splitlines())
    assert changed == {"Makefile", "utils/errors.py", "all/generate.py", "engines/shine.py"}
    assert git(project, "tag") == ""

    assert output_of(make(project, ".", "shine")) == "shining\n"
    assert " passed" in output_of(make(project, ".", "test", ENGINE="local"))
    again = output_of(update(project, "TO=v9.9.9"))
    assert "has this version of the template" in again


def test_git_merge_alone_has_many_conflicts(copy: Copy) -> None:
    project = copy()
    edit_as_a_user(project)
    git(project, "fetch", "--quiet", "template")
    done = run("git", *IDENTITY, "merge", "--quiet", "template/main", cwd=project)
    assert done.returncode == 1
    assert len(git(project, "diff", "--name-only", "--diff-filter=U").splitlines()) >= 4


def test_without_to_the_default_branch_is_merged_and_a_commit_is_a_version(
    versions: tuple[Path, Path], copy: Copy
) -> None:
    project = copy()
    commit_id = git(versions[0], "rev-parse", "v9.9.9")
    # A variable of the shell does not count.
    output_of(update(project, TO="no-such-version"))
    assert git(project, "log", "-1", "--format=%P").split()[1] == commit_id
    git(project, "reset", "--quiet", "--hard", "HEAD^1")
    output_of(update(project, f"TO={commit_id[:10]}"))
    assert git(project, "log", "-1", "--format=%P").split()[1] == commit_id


def test_models_get_the_versions_of_the_template_and_keep_their_own(copy: Copy) -> None:
    project = copy()
    own = project / "forest/requirements_train.txt"
    text = own.read_text().replace(f"numpy=={NUMPY}", "numpy==1.0")
    commit(project, "Choose", **{"forest/requirements_train.txt": text})
    output = update(project, "TO=newer-packages").stdout
    # `make check` reports the version that the user chose for one of two files.
    found = "requires numpy==99.0.0, but forest/requirements_train.txt:2 requires numpy==1.0"
    assert f"forest/requirements_predict.txt:1: {found}" in output
    line = f"     linear/requirements_train.txt: numpy==99.0.0 (was {NUMPY})\n"
    assert line in output
    assert "numpy==99.0.0\n" in (project / "linear/requirements_train.txt").read_text()
    assert "numpy==99.0.0\n" in (project / "all/requirements.txt").read_text()
    assert own.read_text() == text
    assert git(project, "status", "--porcelain") == ""


def test_conflict_is_listed_and_can_be_undone(copy: Copy) -> None:
    project = copy()
    errors = project / "utils/errors.py"
    before = commit(project, "Edit", **{"utils/errors.py": errors.read_text() + "\nMINE = 1\n"})
    done = update(project)
    assert done.returncode != 0
    assert done.stdout.endswith("     conflict: utils/errors.py\n")
    assert "To undo the update instead, type: git merge --abort" in done.stderr

    again = update(project)
    assert "a merge is not finished. Finish it with git commit" in again.stderr
    git(project, "merge", "--abort")
    assert git(project, "rev-parse", "HEAD") == before
    assert git(project, "status", "--porcelain") == ""

    update(project)
    errors.write_text("MINE = SHINE = 1\n")
    git(project, "add", "utils/errors.py")
    git(project, "commit", "--quiet", "--no-edit")
    assert "has this version of the template" in output_of(update(project))
    assert not (project / "docs").exists()


def test_update_that_cannot_begin_changes_nothing(copy: Copy, tmp_path: Path) -> None:
    project = copy()
    head = git(project, "rev-parse", "HEAD")

    file = project / "README.md"
    text = file.read_text()
    file.write_text("# Mine\n")
    message = "changes are not committed: README.md. Commit them, or use git stash."
    assert f"update-template: {message}\n" in update(project).stderr
    file.write_text(text)

    message = "the template has no version v1. The last tags are v9.9.9."
    assert message in update(project, "TO=v1").stderr
    assert "the template has no version --all." in update(project, "TO=--all").stderr

    git(project, "remote", "set-url", "template", str(tmp_path / "gone"))
    assert "cannot fetch the template from" in update(project).stderr
    git(project, "remote", "remove", "template")
    message = "there is no remote `template`. Add the template's address: git remote add"
    assert message in update(project).stderr
    assert git(project, "rev-parse", "HEAD") == head


def test_shallow_clone_without_the_history_is_reported(
    versions: tuple[Path, Path], copy: Copy, tmp_path: Path
) -> None:
    project = copy()
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{project}", str(shallow))
    git(shallow, "remote", "add", "template", str(versions[0]))
    done = update(shallow)
    message = "have no common commit. This clone is shallow. Type: git fetch --unshallow;"
    assert message in done.stderr
    git(shallow, "fetch", "--quiet", "--unshallow")
    output_of(update(shallow))
