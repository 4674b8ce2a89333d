"""A clone under names that a shell or make could take for commands: training gives the same bytes, and nothing runs."""

import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from conftest import MODEL_DIRS, make_clone, run, setting
from support.figures import Figure, times

MODEL = next(
    name for name in MODEL_DIRS if setting(name, "MODEL_NAME").endswith("_lr")
)  # trains fastest
ROWS = 2_000
COMMANDS = [
    "$(touch canary)", "`touch canary`", "; touch canary;", "& touch canary &", "| touch canary", "&& touch canary #",
    "$(shell touch canary)", "${shell touch canary}", "$$(touch canary)", "'; touch canary; '", '"; touch canary; "',
    "x\ntouch canary", "x\n\ttouch canary\n", "$(eval touch canary)", "$(error x)", "> canary", "$HOME", "~",
]  # fmt: skip
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
NAIVE = "train:\n\tcd $(CURDIR) && cp data.csv model.pkl\n"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with a small data set."""
    clone = make_clone(tmp_path_factory.mktemp("names"), "plain")
    table = clone / setting(MODEL, "DATASET_NAME")
    table.write_text("".join(table.read_text().splitlines(keepends=True)[: ROWS + 1]))
    return clone


def trained(clone: Path) -> str:
    """The sha256 of the model that `make` trains in a clone; what make said if there is none."""
    file = clone / "models" / f"{setting(MODEL, 'MODEL_NAME')}.pkl"
    file.unlink(missing_ok=True)
    variables = {"ENGINE": "local", "SOURCE_DATE_EPOCH": "0"}
    done = run("make", "-s", "-C", MODEL, "build-train", "train", cwd=clone, env=variables)
    return (
        sha256(file.read_bytes()).hexdigest()
        if done.returncode == 0 and file.exists()
        else done.stderr[-300:]
    )


def executed(folder: Path) -> bool:
    """Whether a command out of a name has run anywhere in a folder."""
    return any("canary" in names for _, _, names in os.walk(folder))


def test_a_clone_trains_the_same_bytes_under_any_name(
    clone: Path, figure: Figure, tmp_path: Path
) -> None:
    plain = trained(clone)
    assert len(plain) == 64, plain
    problems = {}
    for name in TRIED:
        shutil.move(clone, clone.with_name(name))
        found = trained(clone.with_name(name))
        if found != plain or executed(clone.parent):
            problems[name] = found
        shutil.move(clone.with_name(name), clone)
    figure(
        f"a clone under {len(TRIED)} hostile names, built and trained",
        f"{len(TRIED) - len(problems)} times the same bytes, nothing executed",
        unquoted(tmp_path),
    )
    assert problems == {}


def test_a_colon_which_no_search_path_can_hold_is_named_at_once(clone: Path) -> None:
    built = images(clone)
    colon = clone.with_name("a:b")
    shutil.move(clone, colon)
    done = run("make", "-s", "-C", MODEL, "build-train", cwd=colon, env={"ENGINE": "local"})
    shutil.move(colon, clone)
    assert done.returncode == 2
    assert (
        f"{colon}: Python can't search a folder with a colon in its path; rename it\n"
        in done.stderr
    )
    assert images(clone) == built


def images(clone: Path) -> dict[str, int]:
    """When each image of the local engine was made."""
    return {folder.name: folder.stat().st_mtime_ns for folder in clone.glob(".local/images/*")}


def unquoted(folder: Path) -> str:
    """The control: a Makefile that writes $(CURDIR) without quotes."""
    failed = 0
    for name in NAMES:
        (folder / name).mkdir()
        (folder / name / "Makefile").write_text(NAIVE)
        (folder / name / "data.csv").write_text("1")
        failed += run("make", "-s", "train", cwd=folder / name).returncode != 0
    assert failed and executed(folder)
    return f"$(CURDIR) without quotes: {failed} of {len(NAMES)} fail, commands run"
