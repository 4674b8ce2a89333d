"""tools/check_style.py and ruff's settings: each rule reports a bad sample."""

from pathlib import Path

import pytest
from support.commands import ROOT, Completed, output_of, run

HEADER = "#!/usr/bin/env bash\n"


@pytest.fixture(scope="module")
def programs() -> Path:
    """The folder of the linters' programs, which tools/environment.sh installs."""
    install = '. tools/environment.sh lint tools/requirements_lint.txt >&2; echo "$BIN"'
    return Path(output_of(run("bash", "-c", install)).strip())


def check(programs: Path, directory: Path, name: str, text: str) -> Completed:
    """Run check_style.py on one file, whose path is relative to `directory`."""
    file = directory / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return run(programs / "python", ROOT / "tools/check_style.py", name, cwd=directory)


GOOD = {
    "a line of 100 characters": ("a.sh", HEADER + f": {'x' * 98}\n"),
    "100 letters of two bytes": ("a.mk", "ü" * 100),
    "a long line of another kind": ("README.md", "x" * 500),
    "a script of 80 lines": ("a.sh", HEADER + ":\n" * 79),
    "a module of 300 lines": ("utils/a.py", "x = 1\n" * 300),
    "a longer test": ("tests/a.py", "x = 1\n" * 301),
    "a docstring of 80 characters": ("a.py", f'"""{"x" * 80}\n\n{"y" * 99}"""\n'),
    "a conditional expression": ("a.py", "x = 1 if a else 2\n"),
    "two of them side by side": ("a.py", "x = (1 if a else 2) + (3 if b else 4)\n"),
    "a tuple": ("a.py", "x = 1, 2\n"),
    "an unpacked result": ("a.py", "x, y = f()\n"),
    "a swap": ("a.py", "x[i], x[j] = x[j], x[i]\n"),
    "a peer's style": ("bench/peers/mlflow/users.py", "x, y = 1, 2\n"),
    "a || b": ("a.sh", HEADER + "a || b\n"),
    "a && b": ("a.sh", HEADER + "a && b\n"),
    "a || b || c": ("a.sh", HEADER + "a || b || c\n"),
    "operators in a condition": ("a.sh", HEADER + "[[ a && b ]] || c\n"),
    "operators in a text": ("a.sh", HEADER + "echo 'a && b || c; d' # e && f || g; h\n"),
    "then on the if's line": ("a.sh", HEADER + "if a; then\n  b\nfi\n"),
    "do on the while's line": ("a.sh", HEADER + "while a; do\n  b\ndone\n"),
    "a case in one line": ("a.sh", HEADER + "case a in\n  b) c ;;\n  *) d ;;\nesac\n"),
    "a function in one line": ("a.sh", HEADER + "f() { a; }\n"),
    "a file that is no script": ("a.txt", "a && b || c; d\n"),
}
TOO_LONG = "101 characters; expected at most 100"
PACKED = "several values assigned at once; write one per line"
NESTED = "nested conditional expression; name the inner one"
AND_OR = "`a && b || c`; write an if"
TWO = "two statements on one line"
LONG_DOCSTRING = "first line of a docstring: 81 characters; expected at most 80"
BAD = {
    "a module's long docstring": ("a.py", f'"""{"x" * 81}"""\n', 1, LONG_DOCSTRING),
    "a function's long docstring": (
        "tests/a.py",
        f'\ndef f():\n    """{"x" * 81}"""\n',
        2,
        LONG_DOCSTRING,
    ),
    "a long line in a script": ("a.sh", HEADER + f"# {'x' * 99}\n", 2, TOO_LONG),
    "a long line without a suffix": (".ci/a", HEADER + f"# {'x' * 99}\n", 2, TOO_LONG),
    "a long line in a Makefile": ("all/Makefile", f"\n# {'x' * 99}\n", 2, TOO_LONG),
    "a long line in a .mk file": ("common.mk", "x" * 101, 1, TOO_LONG),
    "a long line in a Dockerfile": ("builders/Dockerfile", "x" * 101, 1, TOO_LONG),
    "a long script": (
        "a.sh",
        HEADER + ":\n" * 80,
        81,
        "81 lines; expected at most 80; split it",
    ),
    "a long module": (
        "utils/forms/a.py",
        "x = 1\n" * 301,
        301,
        "301 lines; expected at most 300; split it",
    ),
    "an expression in the else part": ("a.py", "x = 1 if a else 2 if b else 3\n", 1, NESTED),
    "an expression in the condition": ("a.py", "x = 1 if (a if b else c) else 3\n", 1, NESTED),
    "an expression deep within": ("tests/a.py", "x = [1 if a else 2] if b else 3\n", 1, NESTED),
    "a tuple assigned to two names": ("a.py", "\nx, y = 1, 2\n", 2, PACKED),
    "a list assigned to two names": ("a.py", "[x, y] = [y, 2]\n", 1, PACKED),
    "a step of two variables": ("bench/a.py", "x, y = y, x + y\n", 1, PACKED),
    "a && b || c": ("a.sh", HEADER + "a && b || c\n", 2, AND_OR),
    "over two lines": ("a.sh", HEADER + "[ a ] &&\n  b ||\n  c\n", 3, AND_OR),
    "in a function": ("a.sh", HEADER + "f() {\n  a && b || c || d\n}\n", 3, AND_OR),
    "in a substitution": ("a.sh", HEADER + 'x="$(a && b || c)"\n', 2, AND_OR),
    "a; b": ("a.sh", HEADER + "a; b\n", 2, TWO),
    "a; b in a block": ("a.sh", HEADER + "f() { a; b; }\n", 2, TWO),
    "a; b behind then": ("a.sh", HEADER + "if a; then b; c; fi\n", 2, TWO),
    "a; b in a condition": ("a.sh", HEADER + "if a; b; then\n  c\nfi\n", 2, TWO),
    "a; b in a case": ("a.sh", HEADER + "case a in\n  b) c; d ;;\nesac\n", 3, TWO),
    "a; b in a substitution": ("a.sh", HEADER + 'x="$(a; b)"\n', 2, TWO),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_good_file_passes(programs: Path, tmp_path: Path, case: str) -> None:
    name, text = GOOD[case]
    done = check(programs, tmp_path, name, text)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_reported_with_its_line(programs: Path, tmp_path: Path, case: str) -> None:
    name, text, line, message = BAD[case]
    done = check(programs, tmp_path, name, text)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{name}:{line}: {message}\n"


def test_all_faults_of_all_files_are_reported(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text(HEADER + "a; b\nc && d || e\n")
    (tmp_path / "b.py").write_text("x, y = 1, 2\n")
    done = run(programs / "python", ROOT / "tools/check_style.py", "a.sh", "b.py", cwd=tmp_path)
    expected = [f"a.sh:2: {TWO}", f"a.sh:3: {AND_OR}", f"b.py:1: {PACKED}"]
    assert (done.returncode, done.stderr.splitlines()) == (1, expected)


def test_without_a_file_it_prints_its_usage(programs: Path) -> None:
    done = run(programs / "python", ROOT / "tools/check_style.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: check_style.py FILE..." in done.stderr


# ruff

BRANCHES = "".join(f"    if x == {number}:\n        f(x)\n" for number in range(8))
STATEMENTS = "    f(x)\n" * 26
RUFF = {
    "a complex function": (f"def g(x):\n{BRANCHES}", "C901"),
    "a function of 26 statements": (f"def g(x):\n{STATEMENTS}", "PLR0915"),
    "a line of 101 characters": (f"# {'x' * 99}\n", "E501"),
}


def ruff(programs: Path, text: str, file: Path) -> Completed:
    """Run ruff with this repository's settings on a module, as tools/lint.sh does."""
    file.write_text(text)
    options = ("--config", ROOT / "pyproject.toml", "--no-cache", "--output-format", "concise")
    return run(programs / "ruff", "check", *options, file)


@pytest.mark.parametrize("case", RUFF)
def test_ruff_rejects_what_is_too_long_or_too_complex(
    programs: Path, tmp_path: Path, case: str
) -> None:
    text, rule = RUFF[case]
    done = ruff(programs, f"from m import f\n\n\n{text}", tmp_path / "a.py")
    assert done.returncode == 1
    assert f" {rule} " in done.stdout


def test_ruff_accepts_what_is_just_within_the_limits(programs: Path, tmp_path: Path) -> None:
    branches = BRANCHES.removesuffix("    if x == 7:\n        f(x)\n")
    statements = "    f(x)\n" * 25
    text = (
        f"from m import f\n\n\ndef g(x):\n{branches}\n\ndef h(x):\n{statements}\n\n# {'x' * 98}\n"
    )
    done = ruff(programs, text, tmp_path / "a.py")
    assert (done.returncode, done.stdout) == (0, "All checks passed!\n")
