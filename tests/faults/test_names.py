"""A clone in paths that look like commands: it trains, and no command runs."""

import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from support.clones import make_clone
from support.commands import make, run
from support.figures import Figure, times
from support.models import FASTEST, model_file, setting

ROWS = 2_000
COMMANDS = [
    "$(touch canary)",
    "`touch canary`",
    "; touch canary;",
    "& touch canary &",
    "| touch canary",
    "&& touch canary #",
    "$(shell touch canary)",
    "${shell touch canary}",
    "$$(touch canary)",
    "'; touch canary; '",
    '"; touch canary; "',
    "x\ntouch canary",
    "x\n\ttouch canary\n",
    "$(eval touch canary)",
    "$(error x)",
    "> canary",
    "$HOME",
    "~",
]
ODD = [
    "a b",
    " a ",
    "a'b\"",
    "a\\b",
    "a\tb",
    "*?[a]",
    "{a,b}",
    "-k",
    "#a",
    "!!",
    "a=b",
    "a%b",
    "ünï",
]
NAMES = [*COMMANDS, *ODD]
TRIED = NAMES[:: times(1, 15)]
NAIVE_MAKEFILE = "train:\n\tcd $(CURDIR) && cp data.csv model.pkl\n"
COLON = "Python cannot import from a path with a colon. Rename the folder.\n"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with a small data set."""
    clone = make_clone(tmp_path_factory.mktemp("names"), "plain")
    table = clone / setting(FASTEST, "DATASET_NAME")
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(lines[: ROWS + 1]))
    return clone


def train(clone: Path) -> str:
    """Train a model with make in a clone; return its sha256, or the errors of make."""
    file = model_file(clone, FASTEST)
    file.unlink(missing_ok=True)
    variables = {"ENGINE": "local", "SOURCE_DATE_EPOCH": "0"}
    done = make(clone, FASTEST, "build-train", "train", **variables)
    if done.returncode or not file.exists():
        return done.stderr[-300:]
    return sha256(file.read_bytes()).hexdigest()


def has_canary(folder: Path) -> bool:
    """Return whether a command in a name has run, anywhere in a folder."""
    return any("canary" in files for _, _, files in os.walk(folder))


def test_a_clone_trains_the_same_bytes_under_any_name(
    clone: Path, figure: Figure, tmp_path: Path
) -> None:
    expected = train(clone)
    assert len(expected) == 64, expected

    problems = {}
    for name in TRIED:
        renamed = clone.with_name(name)
        shutil.move(clone, renamed)
        found = train(renamed)
        if found != expected or has_canary(clone.parent):
            problems[name] = found
        shutil.move(renamed, clone)

    figure(
        f"a clone under {len(TRIED)} hostile names, built and trained",
        f"{len(TRIED) - len(problems)} times the same bytes, nothing executed",
        unquoted_makefile(tmp_path),
    )
    assert problems == {}


def test_a_colon_which_no_search_path_can_hold_is_named_at_once(clone: Path) -> None:
    before = images(clone)
    renamed = clone.with_name("a:b")
    shutil.move(clone, renamed)
    done = make(renamed, FASTEST, "build-train", ENGINE="local")
    shutil.move(renamed, clone)
    assert done.returncode == 2
    assert f"{renamed}: {COLON}" in done.stderr
    assert images(clone) == before


def images(clone: Path) -> dict[str, int]:
    """Return when each image of the local engine was made."""
    return {folder.name: folder.stat().st_mtime_ns for folder in clone.glob(".local/images/*")}


def unquoted_makefile(folder: Path) -> str:
    """Run a Makefile with an unquoted $(CURDIR) in each path; check that it fails."""
    failed = 0
    for name in NAMES:
        directory = folder / name
        directory.mkdir()
        (directory / "Makefile").write_text(NAIVE_MAKEFILE)
        (directory / "data.csv").write_text("1")
        failed += run("make", "-s", "train", cwd=directory).returncode != 0

    assert failed > 0
    assert has_canary(folder)
    return f"$(CURDIR) without quotes: {failed} of {len(NAMES)} fail, commands run"
