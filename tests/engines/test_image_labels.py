"""engines/image_labels.py: labels from git and SOURCE_DATE_EPOCH."""

import re
import shlex
import sys
from pathlib import Path

import pytest
from support.commands import Completed, output_of, run

COMMIT = ("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "--allow-empty", "-m", "x")
TITLE = "org.opencontainers.image.title"
SOURCE = "org.opencontainers.image.source"


def image_labels(clone: Path, *arguments: str, **variables: str) -> Completed:
    """Run image_labels.py in a clone."""
    program = clone / "engines/image_labels.py"
    return run(sys.executable, program, *arguments, cwd=clone, env=variables)


def labels(clone: Path, **variables: str) -> dict[str, str]:
    """Return the labels for an image."""
    text = output_of(image_labels(clone, "house-predict", **variables))
    # Docker expands $ in double quotes, but shlex does not.
    assert re.search(r"(?<!\\)\$", text) is None
    instruction, *words = shlex.split(text.replace("\\$", "$"))
    assert instruction == "LABEL"
    return dict(word.split("=", 1) for word in words)


def git(clone: Path, *arguments: str) -> None:
    """Run a git command in a clone."""
    output_of(run("git", *arguments, cwd=clone))


def test_without_git_the_labels_of_the_commit_are_empty(clone: Path) -> None:
    found = labels(clone)
    assert found[TITLE] == found["io.k8s.display-name"] == "house-predict"
    assert found["org.opencontainers.image.revision"] == ""
    assert found[SOURCE] == found["io.openshift.s2i.build.source-location"] == ""
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT.*Z", found["org.opencontainers.image.created"])


def test_the_version_is_the_tag_and_the_revision_the_commit(clone: Path) -> None:
    git(clone, "init", "-q")
    git(clone, *COMMIT)
    # The characters have a meaning in a Dockerfile.
    git(clone, "tag", 'v1.2.3-$HOME"x"')
    found = labels(clone)
    assert found["org.opencontainers.image.version"] == 'v1.2.3-$HOME"x"'
    assert re.fullmatch("[0-9a-f]{40}", found["org.opencontainers.image.revision"])


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("https://example.org/a/b.git", "https://example.org/a/b.git"),
        ("https://user:secret@example.org/a/b.git", "https://example.org/a/b.git"),
        ("ssh://git@example.org/a/b.git", "ssh://example.org/a/b.git"),
        ("git@example.org:a/b.git", "ssh://example.org/a/b.git"),
        ("/srv/me/a", ""),
        ("../a", ""),
        ("file:///srv/me/a", ""),
        ("C:\\Users\\me\\a", ""),
    ],
)
def test_the_source_has_no_password_and_no_path_of_this_machine(
    clone: Path, address: str, source: str
) -> None:
    git(clone, "init", "-q")
    git(clone, "remote", "add", "origin", address)
    assert labels(clone)[SOURCE] == source


def test_source_date_epoch_sets_the_time(clone: Path) -> None:
    found = labels(clone, SOURCE_DATE_EPOCH="1700000000")
    assert found["org.opencontainers.image.created"] == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize("value", ["yesterday", "1.5", "9" * 30])
def test_a_time_that_is_not_valid_is_reported(clone: Path, value: str) -> None:
    done = image_labels(clone, "house-predict", SOURCE_DATE_EPOCH=value)
    assert (done.returncode, done.stdout) == (78, "")
    problem = f"image_labels: SOURCE_DATE_EPOCH={value}: expected seconds since 1970."
    assert done.stderr.startswith(problem)


def test_without_an_image_it_prints_its_usage(clone: Path) -> None:
    done = image_labels(clone)
    assert (done.returncode, "Usage: image_labels.py IMAGE" in done.stderr) == (2, True)
