"""Projects made from a template with a history of git.

This module defines make_template, make_project, git, commit, share_packages, write_table,
example_row.
"""

import csv
import random
from datetime import date, timedelta
from pathlib import Path

from support.clones import make_clone
from support.commands import ROOT, Completed, output_of, run

IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
HEADER = ["customer id", "age", "plan", "signed on", "remarks", "usage"]
REMARKS = ("called the support twice", "asked to cancel the contract", "is happy with all of it")


def git(folder: Path, *arguments: str) -> str:
    """Return the output of a git command, which must succeed."""
    return output_of(run("git", *IDENTITY, *arguments, cwd=folder)).strip()


def commit(folder: Path, message: str, **texts: str) -> str:
    """Write files, commit everything and return the commit."""
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


def make_template(parent: Path) -> Path:
    """Return a clone of the repository's files with a history of one commit."""
    template = make_clone(parent, "the template")
    git(template, "init", "--quiet", "--initial-branch", "main")
    commit(template, "Begin")
    return template


def share_packages(project: Path) -> None:
    """Share wheels and environments with the checkout, as make_clone does."""
    (project / ".local").mkdir(exist_ok=True)
    for shared in ("cache", "environments"):
        (project / ".local" / shared).symlink_to(ROOT / ".local" / shared)


def example_row(draw: random.Random, number: int) -> tuple[list[object], float]:
    """Return the features of a row, and a number that depends on them."""
    age = draw.randrange(18, 80)
    plan = draw.choice(["basic", "pro", "family"])
    remark = draw.choice(REMARKS)
    usage = round(draw.uniform(0, 100), 2)
    value = age / 40 + usage / 50 + 2 * ("cancel" in remark) + (plan == "basic")
    signed = date(2015, 1, 1) + timedelta(days=draw.randrange(3000))
    row: list[object] = [f"C{number:05}", age, plan, signed.strftime("%d.%m.%Y")]
    row += [f"{remark} {draw.randrange(40)}", usage]
    if draw.random() < 0.1:
        row[draw.choice([1, 2, 5])] = ""
    return row, value


def write_table(path: Path, label: str, task: str, rows: int = 600) -> Path:
    """Write a CSV with missing values, dates, texts and an id for a task."""
    draw = random.Random(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*HEADER, label])
        for number in range(rows):
            row, value = example_row(draw, number)
            answer = round(value, 3) if task == "regression" else ("no", "yes")[value > 3.5]
            writer.writerow([*row, answer])
    return path


def make_project(template: Path, **variables: object) -> Completed:
    """Run `make new-project` with variables on the command line."""
    arguments = [f"{name}={value}" for name, value in variables.items()]
    return run("make", "-s", "new-project", *arguments, cwd=template)
