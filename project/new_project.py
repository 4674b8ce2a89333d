"""Make a project of a user's own, with the history of the template.

Usage: TO=FOLDER DATA=FILE LABEL=COLUMN [NAME=NAME] new_project.py     (make new-project)

DATA is a CSV or Parquet file. If a description with the same name is next to it (FILE.toml), the
project uses it. NAME is a Python identifier in lower case; its default is the name of the folder.
A folder that is not complete is removed. This module uses only the standard library, and runs on
Python 3.9.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from project.command import INTERRUPTED, end_on_signals  # noqa: E402
from project.describe import describe  # noqa: E402
from project.git import LIST, USAGE, ProjectError, Repository  # noqa: E402
from project.models import KINDS, Names, write_model, write_project  # noqa: E402
from project.names import check_name, suggested  # noqa: E402

FORM = "make new-project TO=../churn DATA=path.csv LABEL=churn"
# The model name, NAME_boosting, has at most 63 characters.
MAX_NAME = 40
SUFFIXES = (".csv", ".parquet")


class Arguments(NamedTuple):
    """The checked arguments of the command."""

    target: Path
    data: Path
    label: str
    name: str


def read_arguments(variables: dict[str, str]) -> Arguments:
    """Return the arguments. Raises ProjectError if one is missing or not valid."""
    for variable in ("TO", "DATA", "LABEL"):
        if not variables.get(variable, "").strip():
            raise ProjectError(f"{variable} is not set. Type {FORM}", USAGE)
    target = ROOT / Path(variables["TO"]).expanduser()
    data = ROOT / Path(variables["DATA"]).expanduser()
    check_target(target)
    if not data.is_file():
        raise ProjectError(f"DATA={variables['DATA']}: no such file. Type {FORM}", USAGE)
    if data.suffix.lower() not in SUFFIXES:
        found = data.suffix or "no suffix"
        raise ProjectError(f"DATA={data.name}: expected a .csv or .parquet file, found {found}", 2)
    name = variables.get("NAME", "")
    if name:
        check_name("NAME", name, MAX_NAME)
    else:
        name = name_of(target)
    return Arguments(target.resolve(), data, variables["LABEL"].strip(), name)


def check_target(target: Path) -> None:
    """Raise ProjectError unless a project can be made in the folder."""
    if target.resolve() == ROOT or ROOT in target.resolve().parents:
        raise ProjectError(f"TO={target}: is inside the template. Choose TO=../NAME.", USAGE)
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists() or target.is_symlink():
        problem = "is not an empty folder. Choose another folder"
        raise ProjectError(f"TO={target.resolve()}: {problem}, or remove this one.", USAGE)


def name_of(target: Path) -> str:
    """Return the name of a project in a folder. Raises ProjectError if there is none."""
    name = suggested(target.resolve().name, MAX_NAME)
    if not name:
        raise ProjectError(f"TO={target}: gives no name. Add NAME=churn, for example.", USAGE)
    return name


def clone(template: Repository, target: Path) -> tuple[Repository, str]:
    """Clone the template without its own files.

    Returns the clone, and the address of its remote `template`. Raises ProjectError.
    """
    if not template.succeeds("rev-parse", "--verify", "--quiet", "HEAD"):
        problem = f"{template.folder} has no history of git"
        raise ProjectError(f"{problem}. Clone the template with git, and use the clone.", 69)
    changed = template.output("status", "--porcelain", "--untracked-files=no")
    if changed:
        names = ", ".join(line[2:].strip() for line in changed.splitlines()[:3])
        print(f"---> Warning: changes that are not committed are left out: {names}")

    template.output("clone", "--quiet", "--origin", "template", str(template.folder), str(target))
    project = Repository(target)
    branch = project.run("symbolic-ref", "--short", "HEAD").stdout.strip()
    # Without --no-track, `git push` would push to the template.
    project.output("checkout", "--quiet", "--no-track", "-B", "main")
    project.run("branch", "--unset-upstream")
    if branch not in ("", "main"):
        project.output("branch", "--quiet", "-D", branch)
    url = address_of(template)
    project.output("remote", "set-url", "template", url)
    project.remove(project.listed(target / LIST))
    return project, url


def address_of(template: Repository) -> str:
    """Return the address of the template: that of its remote `origin`, or its folder."""
    origin = template.run("remote", "get-url", "origin")
    if origin.returncode != 0:
        return str(template.folder)
    url = origin.stdout.strip()
    folder = template.folder / url
    return str(folder.resolve()) if folder.exists() else url


def keep_description(written: Path, data: Path) -> None:
    """Copy a description next to the user's data, where the next call uses it.

    The data need a decision of the user, such as the format of a date.
    """
    kept = data.with_suffix(".toml")
    if not written.exists() or kept.exists():
        return
    shutil.copyfile(written, kept)
    print(f"---> Wrote {kept}. Edit it as the reason says, then type the command again.")


def build(arguments: Arguments) -> None:
    """Make the project in its folder. Raises ProjectError."""
    target = arguments.target
    print(f"---> Cloning the template to {target}", flush=True)
    project, url = clone(Repository(ROOT), target)

    data = f"data/{arguments.name}{arguments.data.suffix.lower()}"
    (target / "data").mkdir(exist_ok=True)
    shutil.copyfile(arguments.data, target / data)
    description = arguments.data.with_suffix(".toml")
    if description.is_file():
        shutil.copyfile(description, (target / data).with_suffix(".toml"))
    try:
        found = describe(target, data, arguments.label)
    except ProjectError:
        keep_description((target / data).with_suffix(".toml"), arguments.data)
        raise

    names = Names(arguments.name, data, arguments.label, found["task"])
    write_project(target, names, url)
    for kind in KINDS:
        write_model(target, ROOT, kind, names, found["instances"])
    directories = [kind.directory for kind in KINDS]
    generate = [sys.executable, "all/generate.py", "all", *directories]
    subprocess.run(generate, cwd=target, check=True)
    project.output("add", "--all")
    project.commit(f"Make the project {arguments.name} from the template")
    print(f"---> Made {target}: {', '.join(directories)} ({found['task']} of {names.label})")
    print(f"---> Go on with: cd {shlex.quote(str(target))}; make demo; make test")


def remove_unfinished(target: Path, existed: bool) -> None:
    """Remove what a failed command has made."""
    shutil.rmtree(target, ignore_errors=True)
    if existed:
        target.mkdir()


def main() -> int:
    """Make the project and return the exit code."""
    end_on_signals()
    try:
        arguments = read_arguments(dict(os.environ))
        existed = arguments.target.exists()
        try:
            build(arguments)
        except BaseException:
            remove_unfinished(arguments.target, existed)
            raise
    except ProjectError as error:
        print(f"new-project: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"new-project: {error}. Nothing was made.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("new-project: interrupted. The unfinished folder was removed.", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
