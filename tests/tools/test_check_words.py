"""The list of words to avoid: every form is found, allowed phrases are not."""

import sys
from pathlib import Path

import pytest
from support.commands import ROOT, Completed, run

from tools.check_words import WORDS, findings

CHECK = ROOT / "tools" / "check_words.py"


def check(*files: Path) -> Completed:
    """Run the check on files."""
    return run(sys.executable, CHECK, *files)


@pytest.mark.parametrize(
    "text",
    [
        "# What is told to the client",
        "It TELLS the log.",
        "the other road",
        "mended = True",
        "def said(self):",
        "request_noted = 1",
        "is the file sound?",
        "a whole answer",
        "beside the engine",
        "make it anew",
        "spoilt bytes",
        "it can't be had",
        "differs otherwise than expected",
        "is none of the keys",
        "a dead worker",
        "a bill of materials",
    ],
)
def test_word_of_the_list_is_found(text: str) -> None:
    assert len(list(findings(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "expected a whole number from 1 to 5",
        "the soundtrack of a broader thread",
        "besides",
        "retell",
        "available",
        "",
    ],
)
def test_other_text_is_accepted(text: str) -> None:
    assert list(findings(text)) == []


def test_report_names_file_line_word_and_replacement(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("Good.\nIt tells.\n")
    done = check(file)
    assert done.returncode == 1
    assert done.stderr == f"{file}:2: 'tells': write {WORDS['tell|tells|telling|told']}\n"


def test_clean_file_passes(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("It reports the error.\n")
    done = check(file)
    assert (done.returncode, done.stderr) == (0, "")


def test_data_and_generated_files_are_not_checked(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("tells\n")
    assert check(file).returncode == 0


def test_call_without_files_prints_the_usage() -> None:
    done = run(sys.executable, CHECK)
    assert done.returncode == 2
    assert "Usage: check_words.py FILE..." in done.stderr
