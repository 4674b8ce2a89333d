"""The limits of the style guide: sizes of scripts, functions and the core, headers, banners, what must not be there."""

import ast
import re
import statistics
from itertools import combinations, takewhile
from pathlib import Path

import pytest
from conftest import MODEL_DIRS, ROOT, run

SCRIPT_LINES = 60
FUNCTION_LINES, MEDIAN_LINES = 25, 8
SHARED_LINES = 6
CORE_LINES = 2700
GENERATED = [
    *(
        ROOT / "all" / name
        for name in (".s2i/environment", "predict.py", "requirements.txt", "setup.sh")
    ),
    ROOT / "constraints.txt",
    ROOT / "builders/runtime/requirements_install.txt",
]
BANNER = re.compile(r"^# .*\b(Generated|Made) .*`make .*`.*; don't edit\.$", re.MULTILINE)
LISTED = run("git", "ls-files", "--cached", "--others", "--exclude-standard").stdout.splitlines()
FILES = [ROOT / name for name in LISTED if (ROOT / name).is_file()]
SCRIPTS = [file for file in FILES if re.match(rb"#!.*\bbash", file.read_bytes()[:40])]
# What the peers' users would write keeps their style.
FOREIGN = set((ROOT / "bench/peers").glob("*/users.py")) | set(
    (ROOT / "bench/peers").glob("*/ours.py")
)
PYTHON = [
    file for file in FILES if file.suffix == ".py" and not file.is_relative_to(ROOT / "tests")
]
PYTHON = [file for file in PYTHON if file not in FOREIGN]
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
    """What a script's text lacks: size, opening comment, strict mode right after it."""
    lines = text.splitlines()
    opening = list(takewhile(lambda line: line.startswith("#"), lines[1:]))
    after = lines[len(opening) + 1 :]
    generated = any(BANNER.search(line) for line in opening)
    checks = {
        "too long": len(lines) <= SCRIPT_LINES,
        "no Summary": generated or any(line.startswith("# Summary: ") for line in opening),
        "no Usage": generated or any(line.startswith("# Usage:   ") for line in opening),
        "not strict": after[:1] == ["set -euo pipefail"],
    }
    return [fault for fault, good in checks.items() if not good]


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_a_script_fits_a_screen_tells_its_use_and_is_strict(script: Path) -> None:
    assert script_faults(script.read_text()) == []


GOOD_SCRIPT = "#!/usr/bin/env bash\n# Summary: x.\n# Usage:   x\nset -euo pipefail\n"


@pytest.mark.parametrize(
    "text, fault",
    [
        (GOOD_SCRIPT, []),
        (GOOD_SCRIPT + "true\n" * 57, ["too long"]),
        (GOOD_SCRIPT.replace("Summary", "About"), ["no Summary"]),
        (GOOD_SCRIPT.replace("# Usage:   x\n", ""), ["no Usage"]),
        (GOOD_SCRIPT.replace("set -euo pipefail", "set -e"), ["not strict"]),
        (GOOD_SCRIPT.replace("set", "true\nset"), ["not strict"]),
    ],
)
def test_a_careless_script_is_noticed(text: str, fault: list[str]) -> None:
    assert script_faults(text) == fault


def functions(text: str) -> dict[str, int]:
    """Each function's lines, its docstring among them."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
    return {
        f"{node.name}:{node.lineno}": (node.end_lineno or 0) - node.lineno + 1 for node in nodes
    }


LENGTHS = {
    f"{name(file)} {which}": lines
    for file in PYTHON
    for which, lines in functions(file.read_text()).items()
}


def test_functions_are_short() -> None:
    assert {which: lines for which, lines in LENGTHS.items() if lines > FUNCTION_LINES} == {}
    assert statistics.median(LENGTHS.values()) <= MEDIAN_LINES


def test_functions_of_tests_are_short() -> None:
    texts = [file for file in FILES if file.suffix == ".py" and file.is_relative_to(ROOT / "tests")]
    lengths = {
        f"{name(file)} {which}": lines
        for file in texts
        for which, lines in functions(file.read_text()).items()
    }
    assert {which: lines for which, lines in lengths.items() if lines > FUNCTION_LINES} == {}
    assert statistics.median(lengths.values()) <= MEDIAN_LINES


def test_a_long_function_is_noticed() -> None:
    text = (
        "def long():\n"
        + "    pass\n" * FUNCTION_LINES
        + "class Holder:\n    def short(self):\n        pass\n"
    )
    assert functions(text) == {"long:1": FUNCTION_LINES + 1, "short:28": 2}


def undocumented(text: str) -> list[str]:
    """The public functions and classes of a module, and the module itself, that have no docstring."""
    module = ast.parse(text)
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    public = [
        node for node in module.body if isinstance(node, kinds) and not node.name.startswith("_")
    ]
    unsaid = [node.name for node in public if not ast.get_docstring(node)]
    return unsaid if ast.get_docstring(module) or not module.body else ["module", *unsaid]


@pytest.mark.parametrize("file", PYTHON, ids=name)
def test_every_public_function_has_a_docstring(file: Path) -> None:
    assert undocumented(file.read_text()) == []


def test_a_missing_docstring_is_noticed() -> None:
    text = 'def bare(): ...\ndef _own(): ...\ndef told():\n    """Tells."""\nclass Bare: ...\n'
    assert undocumented(text) == ["module", "bare", "Bare"]
    assert undocumented("") == []


def blocks(directory: Path) -> set[tuple[str, ...]]:
    """Every run of six lines in a directory's files; empty lines don't count."""
    found = set()
    for file in (file for file in FILES if file.is_relative_to(directory)):
        lines = [line.strip() for line in file.read_text().splitlines() if line.strip()]
        found |= {
            tuple(lines[at : at + SHARED_LINES]) for at in range(len(lines) - SHARED_LINES + 1)
        }
    return found


@pytest.mark.parametrize("one, other", list(combinations(MODEL_DIRS, 2)))
def test_model_directories_share_no_six_lines(one: str, other: str) -> None:
    assert blocks(ROOT / one) & blocks(ROOT / other) == set()


def test_shared_lines_are_noticed() -> None:
    assert blocks(ROOT / MODEL_DIRS[0]) & blocks(ROOT / MODEL_DIRS[0]) != set()


def is_core(file: Path) -> bool:
    """Whether a file belongs to the core: make, shell, runtime, utils, common_utils, the model directories."""
    parts = file.relative_to(ROOT).parts
    code = (
        file.suffix in (".py", ".mk", ".sh")
        or file.name in ("Makefile", "Dockerfile")
        or file in SCRIPTS
    )
    return code and (len(parts) == 1 or parts[0] in CORE_FOLDERS)


def code_lines(file: Path) -> int:
    """The lines of a file without blank ones, comments and docstrings."""
    lines = dict(enumerate(file.read_text().splitlines(), 1))
    if file.suffix == ".py":
        nodes = (node for node in ast.walk(ast.parse(file.read_text())) if hasattr(node, "body"))
        heads = [node.body[0] for node in nodes if isinstance(node.body, list) and node.body]
        for text in (
            head
            for head in heads
            if isinstance(head, ast.Expr) and isinstance(head.value, ast.Constant)
        ):
            for number in range(text.lineno, (text.end_lineno or text.lineno) + 1):
                lines.pop(number, None)
    return sum(1 for line in lines.values() if line.strip() and not line.strip().startswith("#"))


def test_code_lines_leave_out_what_is_not_code(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        '"""One\n\ntwo."""\n\n# three\ndef f():\n    """Four."""\n    return "five"  # six\n'
    )
    assert code_lines(tmp_path / "a.py") == 2


def test_the_core_is_small() -> None:
    lines = {name(file): code_lines(file) for file in FILES if is_core(file)}
    assert sum(lines.values()) < CORE_LINES, sorted(lines.items(), key=lambda pair: -pair[1])


@pytest.mark.parametrize("what", UNWANTED)
def test_no_file_has_it(what: str) -> None:
    texts = {
        name(file): file.read_bytes().decode(errors="replace")
        for file in FILES
        if file.suffix != ".csv"
    }
    assert [file for file, text in texts.items() if UNWANTED[what].search(text)] == []


@pytest.mark.parametrize(
    "text", ["see /ro" + "ot/.cache", "cd /ho" + "me/ada/x", "# TO" + "DO: later", "FIX" + "ME"]
)
def test_what_must_not_be_there_is_noticed(text: str) -> None:
    assert any(pattern.search(text) for pattern in UNWANTED.values())


@pytest.mark.parametrize("file", GENERATED, ids=name)
def test_a_generated_file_names_the_command_that_makes_it(file: Path) -> None:
    assert BANNER.search("\n".join(file.read_text().splitlines()[:3]))


def test_no_other_file_says_that_it_is_generated() -> None:
    said = [
        file for file in FILES if BANNER.search(file.read_bytes().decode(errors="replace")[:300])
    ]
    assert set(said) <= set(GENERATED)
