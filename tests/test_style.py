"""Rules of style: headers, docstrings, banners, repetition, size.

tools/check_style.py checks single files as a part of `make lint`; see tests/tools.
"""

import ast
import re
from itertools import combinations, takewhile
from pathlib import Path

import pytest
from support.commands import ROOT, run
from support.models import MODEL_DIRS

SHARED_LINES = 6
# Most of it is for any table, any application and any estimator; the first version, for one table,
# had 4,700.
CORE_LINES = 10500
GENERATED = [
    ROOT / "all/.s2i/environment",
    ROOT / "all/predict.py",
    ROOT / "all/requirements.txt",
    ROOT / "all/setup.sh",
    ROOT / "constraints.txt",
    ROOT / "builders/runtime/requirements_install.txt",
]
BANNER = re.compile(r"^# .*\b(Generated|Made) .*`make .*`.*; don't edit\.$", re.MULTILINE)
LISTED = run("git", "ls-files", "--cached", "--others", "--exclude-standard").stdout.splitlines()
FILES = [ROOT / name for name in LISTED if (ROOT / name).is_file()]
SCRIPTS = [file for file in FILES if re.match(rb"#!.*\bbash", file.read_bytes()[:40])]
# The code of the peers' users keeps the style of the peers.
PEERS = (ROOT / "bench/peers").glob("*/*.py")
FOREIGN = {file for file in PEERS if file.name in ("users.py", "ours.py")}
PYTHON = [
    file
    for file in FILES
    if file.suffix == ".py" and not file.is_relative_to(ROOT / "tests") and file not in FOREIGN
]
CORE_FOLDERS = ("builders", "engines", "utils", "common_utils", "all", *MODEL_DIRS)
UNWANTED = {
    "a path of one machine": re.compile(
        r"/(root|home|Users|work|opt/wheels)/[\w.]|/(opt/wheels)\b"
    ),
    "work left over": re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b"),
}


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def script_faults(text: str) -> list[str]:
    """Return the faults of a script: no opening comment, no strict mode after it."""
    lines = text.splitlines()
    opening = list(takewhile(lambda line: line.startswith("#"), lines[1:]))
    after = lines[len(opening) + 1 :]
    generated = any(BANNER.search(line) for line in opening)
    checks = {
        "no Summary": generated or any(line.startswith("# Summary: ") for line in opening),
        "no Usage": generated or any(line.startswith("# Usage:   ") for line in opening),
        "not strict": after[:1] == ["set -euo pipefail"],
    }
    return [fault for fault, good in checks.items() if not good]


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_a_script_has_a_header_and_is_strict(script: Path) -> None:
    assert script_faults(script.read_text()) == []


GOOD_SCRIPT = "#!/usr/bin/env bash\n# Summary: x.\n# Usage:   x\nset -euo pipefail\n"


@pytest.mark.parametrize(
    "text, faults",
    [
        (GOOD_SCRIPT, []),
        (GOOD_SCRIPT.replace("Summary", "About"), ["no Summary"]),
        (GOOD_SCRIPT.replace("# Usage:   x\n", ""), ["no Usage"]),
        (GOOD_SCRIPT.replace("set -euo pipefail", "set -e"), ["not strict"]),
        (GOOD_SCRIPT.replace("set", "true\nset"), ["not strict"]),
    ],
)
def test_a_script_without_header_or_strictness_is_reported(text: str, faults: list[str]) -> None:
    assert script_faults(text) == faults


def undocumented(text: str) -> list[str]:
    """Return the public functions and classes of a module that have no docstring.

    `module` stands for the module itself.
    """
    module = ast.parse(text)
    names = []
    if module.body and not ast.get_docstring(module):
        names.append("module")

    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            is_public = not node.name.startswith("_")
            if is_public and not ast.get_docstring(node):
                names.append(node.name)
    return names


@pytest.mark.parametrize("file", PYTHON, ids=name)
def test_every_public_function_has_a_docstring(file: Path) -> None:
    assert undocumented(file.read_text()) == []


def test_a_missing_docstring_is_reported() -> None:
    text = """
def bare(): ...
def _own(): ...
def documented():
    'Return nothing.'
class Bare: ...
"""
    assert undocumented(text) == ["module", "bare", "Bare"]
    assert undocumented("") == []


def blocks(directory: Path) -> set[tuple[str, ...]]:
    """Return all blocks of six lines in a directory's files, without empty lines."""
    found = set()
    for file in FILES:
        if file.is_relative_to(directory):
            lines = [line.strip() for line in file.read_text().splitlines() if line.strip()]
            for start in range(len(lines) - SHARED_LINES + 1):
                found.add(tuple(lines[start : start + SHARED_LINES]))
    return found


@pytest.mark.parametrize("one, other", list(combinations(MODEL_DIRS, 2)))
def test_model_directories_share_no_six_lines(one: str, other: str) -> None:
    assert blocks(ROOT / one) & blocks(ROOT / other) == set()


def test_shared_lines_are_reported() -> None:
    assert blocks(ROOT / MODEL_DIRS[0]) & blocks(ROOT / MODEL_DIRS[0]) != set()


def is_core(file: Path) -> bool:
    """Return whether a file is code of the core.

    The core is make, shell, builders, engines, utils, common_utils and the model directories.
    """
    parts = file.relative_to(ROOT).parts
    if len(parts) > 1 and parts[0] not in CORE_FOLDERS:
        return False
    has_code = file.suffix in (".py", ".mk", ".sh") or file.name in ("Makefile", "Dockerfile")
    return has_code or file in SCRIPTS


def docstring_lines(text: str) -> set[int]:
    """Return the numbers of the lines that docstrings take."""
    numbers: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, documented) and ast.get_docstring(node):
            first = node.body[0]
            numbers.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return numbers


def code_lines(file: Path) -> int:
    """Return a file's number of lines without blanks, comments and docstrings."""
    text = file.read_text()
    left_out = docstring_lines(text) if file.suffix == ".py" else set()
    count = 0
    for number, line in enumerate(text.splitlines(), 1):
        is_code = line.strip() and not line.strip().startswith("#")
        if is_code and number not in left_out:
            count += 1
    return count


def test_code_lines_leave_out_what_is_not_code(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        '"""One\n\ntwo."""\n\n# three\ndef f():\n    """Four."""\n    return "five"  # six\n'
    )
    assert code_lines(tmp_path / "a.py") == 2


def test_the_core_is_small() -> None:
    lines = {name(file): code_lines(file) for file in FILES if is_core(file)}
    assert sum(lines.values()) < CORE_LINES, sorted(lines.items(), key=lambda pair: -pair[1])


@pytest.mark.parametrize("what", UNWANTED)
def test_no_file_has_unwanted_text(what: str) -> None:
    found = []
    for file in FILES:
        if file.suffix != ".csv":
            text = file.read_bytes().decode(errors="replace")
            if UNWANTED[what].search(text):
                found.append(name(file))
    assert found == []


@pytest.mark.parametrize(
    "text", ["see /ro" + "ot/.cache", "cd /ho" + "me/ada/x", "# TO" + "DO: later", "FIX" + "ME"]
)
def test_unwanted_text_is_reported(text: str) -> None:
    assert any(pattern.search(text) for pattern in UNWANTED.values())


@pytest.mark.parametrize("file", GENERATED, ids=name)
def test_a_generated_file_names_the_command_that_generates_it(file: Path) -> None:
    assert BANNER.search("\n".join(file.read_text().splitlines()[:3]))


def test_no_other_file_has_the_banner_of_a_generated_one() -> None:
    with_banner = []
    for file in FILES:
        text = file.read_bytes().decode(errors="replace")
        if BANNER.search(text[:300]):
            with_banner.append(file)
    assert set(with_banner) <= set(GENERATED)
