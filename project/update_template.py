"""Merge a later version of the template into a project.

Usage: [TO=VERSION] update_template.py      (make update-template)

TO is a tag, a branch or a commit of the remote `template`. Its default is the remote's default
branch. The files of project/template_only.txt keep their state. This module uses only the standard
library, and runs on Python 3.9.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from project.command import INTERRUPTED  # noqa: E402
from project.describe import clean_environment  # noqa: E402
from project.git import LIST, ProjectError, Repository  # noqa: E402

REMOTE = "template"
CONFLICTS = """\
update-template: the files above have conflicts. Each of them has both versions, between lines of
<<<<<<<, ======= and >>>>>>>. Edit them, then type: git add FILE..., git commit and make generate.
To undo the update instead, type: git merge --abort"""


def check_ready(project: Repository) -> None:
    """Raise ProjectError unless the project can be updated."""
    if not project.succeeds("rev-parse", "--verify", "--quiet", "HEAD"):
        raise ProjectError(f"{ROOT} has no history of git. Clone the project with git.", 69)
    if not project.succeeds("remote", "get-url", REMOTE):
        problem = "there is no remote `template`. Add the template's address"
        raise ProjectError(f"{problem}: git remote add template URL", 69)
    if project.succeeds("rev-parse", "--verify", "--quiet", "MERGE_HEAD"):
        advice = "Finish it with git commit, or undo it with git merge --abort."
        raise ProjectError(f"a merge is not finished. {advice}")
    changed = project.output("status", "--porcelain", "--untracked-files=no")
    if changed:
        names = ", ".join(line[2:].strip() for line in changed.splitlines()[:3])
        raise ProjectError(f"changes are not committed: {names}. Commit them, or use git stash.")


def fetch(project: Repository, version: str) -> str:
    """Fetch the template and return the commit of a version. Raises ProjectError."""
    done = project.run("fetch", "--quiet", "--no-tags", REMOTE)
    if done.returncode != 0:
        url = project.output("remote", "get-url", REMOTE)
        problem = " ".join(done.stderr.split())
        advice = "Check the network, or set another address: git remote set-url template URL"
        raise ProjectError(f"cannot fetch the template from {url}: {problem}. {advice}", 69)
    if not version:
        project.run("remote", "set-head", REMOTE, "--auto")
        return commit_of(project, f"refs/remotes/{REMOTE}/HEAD")

    # A tag is not fetched as a tag, because the project may have a tag of the same name.
    for name in (f"refs/tags/{version}", f"refs/heads/{version}"):
        if not version.startswith("-") and project.succeeds("fetch", "--no-tags", REMOTE, name):
            return commit_of(project, "FETCH_HEAD")
    if re.fullmatch("[0-9a-f]{4,40}", version):
        return commit_of(project, version)
    return commit_of(project, "")


def commit_of(project: Repository, name: str) -> str:
    """Return the commit that a name stands for. Raises ProjectError."""
    done = project.run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if done.returncode == 0:
        return done.stdout.strip()
    listed = project.run("ls-remote", "--tags", "--refs", REMOTE).stdout
    tags = re.findall(r"refs/tags/(\S+)", listed)[-5:]
    known = f"The last tags are {', '.join(tags)}." if tags else "The template has no tags."
    wanted = os.environ.get("TO") or "the default branch"
    raise ProjectError(f"the template has no version {wanted}. {known}", 2)


def common_commit(project: Repository, version: str) -> str:
    """Return the template's version in the project. Raises ProjectError without one."""
    done = project.run("merge-base", "HEAD", version)
    if done.returncode == 0:
        return done.stdout.strip()
    problem = "the project and the template have no common commit"
    if project.output("rev-parse", "--is-shallow-repository") == "true":
        advice = "This clone is shallow. Type: git fetch --unshallow; git fetch template"
        raise ProjectError(f"{problem}. {advice}", 69)
    raise ProjectError(f"{problem}. Set the address of your template: git remote -v", 69)


def print_changes(project: Repository, old: str, new: str) -> None:
    """Print what the template's changelog has gained between two versions."""
    difference = project.run("diff", "--unified=0", old, new, "--", "CHANGELOG.md").stdout
    lines = [line[1:] for line in difference.splitlines() if re.match(r"\+(?!\+\+ )", line)]
    print("---> Changes of the template" if lines else "---> The template's CHANGELOG is the same")
    for line in lines:
        print(f"     {line}".rstrip())


def merge(project: Repository, version: str) -> list[str]:
    """Merge a version without a commit; return the files with conflicts.

    Raises ProjectError.
    """
    with tempfile.TemporaryDirectory() as folder:
        patterns = Path(folder) / "patterns"
        patterns.write_text(project.output("show", f"{version}:{LIST}") + "\n", encoding="utf-8")
        kept = project.listed(patterns)
        # Similar files are not renamed ones: a model of the project began as one of the template.
        options = ("--no-commit", "--no-ff", "--quiet", "-X", "no-renames")
        done = project.run(*project.identity(), "merge", *options, version)
        if not project.succeeds("rev-parse", "--verify", "--quiet", "MERGE_HEAD"):
            problem = " ".join((done.stderr or done.stdout).split())
            raise ProjectError(f"git merge failed: {problem}")
        project.remove(project.listed(patterns) - kept)
    for name in sorted(kept):
        project.output("checkout", "HEAD", "--", name)
    return project.output("diff", "--name-only", "--diff-filter=U").splitlines()


def regenerate(project: Repository) -> None:
    """Regenerate the combined application, whose generator may have changed."""
    command = ["make", "--silent", "-C", "all", "generate"]
    subprocess.run(command, cwd=ROOT, check=True, env=clean_environment())
    project.output("add", "--update")


def pins(constraints: str) -> dict[str, str]:
    """Return the version of each package in the text of a constraints file."""
    return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)", constraints, re.MULTILINE))


def update_pins(project: Repository, old: str, new: str) -> None:
    """Give the models the template's new versions, where they have its old ones."""
    before = pins(project.output("show", f"{old}:constraints.txt"))
    after = pins(project.output("show", f"{new}:constraints.txt"))
    for file in sorted(ROOT.glob("*/requirements*.txt")):
        if not (file.parent / "train.py").exists():
            continue
        text = file.read_text(encoding="utf-8")
        for name, version in before.items():
            current = after.get(name, version)
            pattern = rf"^{re.escape(name)}=={re.escape(version)}(?![\w.])"
            if current != version and re.search(pattern, text, re.MULTILINE):
                print(f"     {file.relative_to(ROOT)}: {name}=={current} (was {version})")
                text = re.sub(pattern, f"{name}=={current}", text, flags=re.MULTILINE)
        file.write_text(text, encoding="utf-8")


def check() -> int:
    """Run `make check` if the project has it, and return its exit code."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    if not re.search("^check:", makefile, re.MULTILINE):
        return 0
    command = ["make", "--silent", "check"]
    return subprocess.run(command, cwd=ROOT, env=clean_environment()).returncode


def update(version: str) -> int:
    """Update the project and return the exit code. Raises ProjectError."""
    project = Repository(ROOT)
    check_ready(project)
    print("---> Fetching the template", flush=True)
    new = fetch(project, version)
    old = common_commit(project, new)
    if old == new:
        print(f"---> The project has this version of the template ({new[:9]}) already")
        return 0
    print_changes(project, old, new)
    print(f"---> Merging {old[:9]}..{new[:9]}", flush=True)
    conflicts = merge(project, new)
    if conflicts:
        for name in conflicts:
            print(f"     conflict: {name}")
        print(CONFLICTS, file=sys.stderr)
        return 1
    update_pins(project, old, new)
    regenerate(project)
    project.commit(f"Update the template to {version or new[:9]}")
    print("---> Updated. make test tests the models with this version.", flush=True)
    return check()


def main() -> int:
    """Update the project and return the exit code."""
    try:
        return update(os.environ.get("TO", "").strip())
    except ProjectError as error:
        print(f"update-template: {error}", file=sys.stderr)
        return error.exit_code
    except subprocess.CalledProcessError:
        advice = "Fix the reason above and type git commit, or undo it: git merge --abort"
        print(f"update-template: make generate failed. {advice}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("update-template: interrupted. git merge --abort undoes a merge.", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
