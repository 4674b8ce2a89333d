"""Check rules of this repository that no other linter checks.

Usage: check_style.py FILE...      paths relative to the repository's root; exit code 1 for a fault

Shell, Make and Docker: lines of at most 100 characters (ruff checks those of Python).
Shell: scripts of at most 80 lines, one statement per line, no `a && b || c`.
Python: modules of the product of at most 300 lines, docstrings whose first line has at most 80
characters, no nested conditional expression, no tuple assignment of a tuple display, except a swap.

The script runs in the environment of tools/lint.sh, because it uses shfmt to parse shell scripts.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, NamedTuple

LINE_CHARACTERS = 100
DOCSTRING_CHARACTERS = 80
SCRIPT_LINES = 80
MODULE_LINES = 300
PRODUCT = {
    "builders",
    "engines",
    "utils",
    "common_utils",
    "all",
    "extras",
    "data",
    "tools",
    "bench",
}
# These files keep the style of the peer's documentation.
PEERS = re.compile(r"bench/peers/\w+/(users|ours)\.py")
SHFMT = Path(sys.executable).with_name("shfmt")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
Node = dict[str, Any]


class Fault(NamedTuple):
    """A violation of a rule on one line of a file."""

    line: int
    message: str


def line_faults(text: str) -> Iterator[Fault]:
    """Yield the lines that are too long."""
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > LINE_CHARACTERS:
            yield Fault(number, f"{len(line)} characters; expected at most {LINE_CHARACTERS}")


def size_faults(text: str, limit: int) -> Iterator[Fault]:
    """Yield a fault if the file has more lines than `limit`."""
    lines = len(text.splitlines())
    if lines > limit:
        yield Fault(lines, f"{lines} lines; expected at most {limit}; split it")


def python_faults(text: str) -> Iterator[Fault]:
    """Yield long docstrings, nested conditional expressions and packed assignments."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED):
            yield from docstring_faults(node)
        if isinstance(node, ast.IfExp) and has_nested_condition(node):
            yield Fault(node.lineno, "nested conditional expression; name the inner one")
        if isinstance(node, ast.Assign) and is_packed(node):
            yield Fault(node.lineno, "several values assigned at once; write one per line")


def docstring_faults(node: ast.AST) -> Iterator[Fault]:
    """Yield a fault if the first line of a docstring is too long."""
    docstring = ast.get_docstring(node) or ""  # type: ignore[arg-type]
    first_line = docstring.partition("\n")[0]
    if len(first_line) > DOCSTRING_CHARACTERS:
        expected = f"expected at most {DOCSTRING_CHARACTERS}"
        line = getattr(node, "lineno", 1)
        yield Fault(line, f"first line of a docstring: {len(first_line)} characters; {expected}")


def has_nested_condition(node: ast.IfExp) -> bool:
    """Return whether a conditional expression contains another one."""
    return any(isinstance(inner, ast.IfExp) for inner in ast.walk(node) if inner is not node)


def is_packed(node: ast.Assign) -> bool:
    """Return whether an assignment has the form `a, b = x, y`.

    A swap of the same names is allowed.
    """
    if not isinstance(node.value, ast.Tuple | ast.List):
        return False

    values = sorted(ast.unparse(value) for value in node.value.elts)
    for target in node.targets:
        if isinstance(target, ast.Tuple | ast.List):
            names = sorted(ast.unparse(name) for name in target.elts)
            if names != values:
                return True
    return False


def shell_faults(text: str) -> Iterator[Fault]:
    """Yield the packed statements in a shell script."""
    source = text.encode()
    parsed = subprocess.run([SHFMT, "--to-json"], input=source, stdout=subprocess.PIPE, check=True)
    for node in shell_nodes(json.loads(parsed.stdout)):
        for statements in statement_lists(node):
            for first, second in zip(statements, statements[1:], strict=False):
                if first["End"]["Line"] == second["Pos"]["Line"]:
                    yield Fault(second["Pos"]["Line"], "two statements on one line")

        left = node.get("X", {}).get("Cmd", {})
        if operator(node, source) == "||" and operator(left, source) == "&&":
            yield Fault(node["OpPos"]["Line"], "`a && b || c`; write an if")


def shell_nodes(tree: Any) -> Iterator[Node]:
    """Yield every node of a syntax tree that shfmt has printed as JSON."""
    if isinstance(tree, dict):
        yield tree
    children = tree.values() if isinstance(tree, dict) else tree
    for child in children:
        if isinstance(child, dict | list):
            yield from shell_nodes(child)


def statement_lists(node: Node) -> Iterator[list[Node]]:
    """Yield each list of statements that is directly in `node`."""
    for value in node.values():
        if isinstance(value, list) and all("Cmd" in item for item in value):
            yield value


def operator(node: Node, source: bytes) -> str:
    """Return the operator that joins two commands, or an empty text."""
    if node.get("Type") != "BinaryCmd":
        return ""
    start = node["OpPos"]["Offset"]
    return source[start : start + 2].decode().strip()


def faults(path: PurePath, text: str) -> Iterator[Fault]:
    """Yield every fault of a file.

    The name and the first line of the file determine its type.
    """
    is_script = re.match(r"#!.*\bbash", text) is not None
    is_make = path.name == "Makefile" or path.suffix == ".mk"
    if is_script or is_make or path.name == "Dockerfile":
        yield from line_faults(text)
    if is_script:
        yield from size_faults(text, SCRIPT_LINES)
        yield from shell_faults(text)
    if path.suffix == ".py" and not PEERS.fullmatch(path.as_posix()):
        yield from python_faults(text)
    if path.suffix == ".py" and path.parts[0] in PRODUCT:
        yield from size_faults(text, MODULE_LINES)


def main(names: list[str]) -> int:
    """Print the faults of the named files and return the exit code."""
    if not names:
        print(__doc__, file=sys.stderr)
        return 2

    found = 0
    for name in names:
        text = Path(name).read_bytes().decode(errors="replace")
        for fault in sorted(faults(PurePath(name), text)):
            print(f"{name}:{fault.line}: {fault.message}", file=sys.stderr)
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
