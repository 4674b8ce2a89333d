"""Check the files of the model directories.

This module uses only the standard library, and runs on Python 3.9. Its functions read the
repository in the working directory.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "builders"), str(ROOT / "engines")]
from check_source import file_problems  # noqa: E402
from model_names import makefile_value, routes_of  # noqa: E402
from requirement_files import RequirementError, read, requirements_file  # noqa: E402
from runtime.environment import ROLES, check_file  # noqa: E402
from runtime.environment import read as read_environment  # noqa: E402
from runtime.settings import ConfigurationError  # noqa: E402

from all.generate import package_name  # noqa: E402
from project.names import IMAGE  # noqa: E402
from utils.encode_decode import NAME  # noqa: E402

# The builders' messages begin with a file, and often a line.
PLACE = re.compile(
    r"(?P<file>[^:,]+)(?:,? line (?P<line>\d+)|:(?P<number>\d+))?: (?P<text>.*)", re.DOTALL
)
SERVED = re.compile(r"""@served\(["']([^"']*)["']""")
FILES = ("predict.py", "train.py", ".s2i/environment", "Makefile")


class Finding(NamedTuple):
    """A problem of a file; the message includes what to do."""

    check: str
    place: str
    message: str


def model_directories() -> list[str]:
    """Return the directories that have a file of a model."""
    found = {
        path.parts[0] for name in FILES[:3] for path in Path().glob(f"*/{name}") if path.is_file()
    }
    return sorted(found - {"all", "bench"})


def finding_of(check: str, message: str, place: str) -> Finding:
    """Return a finding for a message of the builders, which may begin with a place."""
    found = PLACE.match(message)
    if not found or not Path(found["file"]).exists():
        return Finding(check, place, message)
    line = found["line"] or found["number"]
    return Finding(check, f"{found['file']}:{line}" if line else found["file"], found["text"])


def line_of(file: Path, text: str) -> str:
    """Return the place of a text in a file."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    numbers = [number for number, line in enumerate(lines, 1) if text in line]
    return f"{file}:{numbers[0]}" if numbers else str(file)


def model_findings() -> Iterator[Finding]:
    """Yield the problems of each model directory."""
    for directory in model_directories():
        missing = [name for name in FILES if not Path(directory, name).is_file()]
        for name in missing:
            advice = f"Restore it, or type make remove-model NAME={directory}"
            yield Finding("files", directory, f"has no {name}. {advice}")
        if missing:
            continue
        yield from environment_findings(directory)
        for problem in file_problems(Path(directory)):
            yield finding_of("files", problem, directory)
        yield from requirement_findings(directory)


def environment_findings(directory: str) -> Iterator[Finding]:
    """Yield the problems of .s2i/environment, and names that do not exist."""
    file = Path(directory, ".s2i", "environment")
    try:
        for role in ROLES:
            check_file(file, role)
        variables = read_environment(file)
        routes = check_file(file, "predict")
    except ConfigurationError as error:
        yield finding_of("environment", str(error), str(file))
        return
    named = [("ROUTES", route.module, route.function) for route in routes]
    for role in ("TRAIN", "PREDICT"):
        if variables.get(f"{role}_MODULE"):
            names = (variables[f"{role}_MODULE"], variables[f"{role}_FUNCTION"])
            named.append((f"{role}_", *names))
    for key, module, function in named:
        problem = function_problem(directory, module, function)
        if problem:
            yield Finding("environment", line_of(file, key), problem)


def function_problem(directory: str, module: str, function: str) -> str:
    """Return why a function of a model's package does not exist, or ""."""
    package = re.search(r"^PACKAGE *:= *(\S+)", Path("project.mk").read_text(), re.MULTILINE)
    expected = package.group(1) if package else ""
    first, _, rest = module.partition(".")
    if first != expected:
        return f"{module}: expected a module of the package {expected}. Correct the name."
    file = Path(directory, *rest.split(".")).with_suffix(".py")
    if not file.is_file():
        return f"{module}: {file} does not exist. Correct the name of the module."
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError as error:
        return f"{file}, line {error.lineno}: is not valid Python ({error.msg}). Correct the line."
    nodes = [node for node in tree.body if not isinstance(node, ast.Expr)]
    if not any(function in defined(node) for node in nodes):
        return f"{function} is not in {file}. Correct the name of the function."
    return ""


def defined(node: ast.stmt) -> set[str]:
    """Return the names that a statement at the top of a module defines."""
    names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {alias.asname or alias.name for alias in node.names}
    return {node.name} if hasattr(node, "name") else names


def pins_of(directory: str, role: str) -> dict[str, tuple[str, str]]:
    """Return the requirements of a role by package: the text and its place."""
    pins = {}
    for file in read(requirements_file(Path(directory), role)):
        for line in [] if file.is_constraint else file.lines:
            text = line.render(str)
            # A package may have other versions for other systems.
            name = package_name(text) + text.partition(";")[2]
            pins[name] = (text, line_of(file.path, text.split()[0]))
    return pins


def requirement_findings(directory: str) -> Iterator[Finding]:
    """Yield invalid lines, and versions that differ between train and predict."""
    try:
        train, predict = (pins_of(directory, role) for role in ROLES)
    except RequirementError as error:
        yield finding_of("requirements", str(error), directory)
        return
    for name, (text, place) in predict.items():
        other, where = train.get(name, (text, ""))
        if other != text:
            problem = f"requires {text}, but {where} requires {other}"
            yield Finding("requirements", place, f"{problem}. Use one version in both files.")


def names_findings() -> Iterator[Finding]:
    """Yield names that are not valid, or that two models have."""
    owners: dict[tuple[str, str], str] = {}
    for directory in model_directories():
        for kind, name, place in names_of(directory):
            other = owners.setdefault((kind, name), directory)
            if other != directory:
                problem = f"{other} has {kind} {name} too. Choose another {kind}."
                yield Finding("names", place, problem)
        yield from invalid_names(directory)


def names_of(directory: str) -> Iterator[tuple[str, str, str]]:
    """Yield the kind, the name and the place of each name of a model."""
    makefile = Path(directory, "Makefile")
    for variable in ("MODEL_NAME", "CONTAINER_NAME"):
        value = makefile_value(directory, variable)
        if value:
            yield variable, value, line_of(makefile, variable)
    try:
        routes = sorted(routes_of(directory))
    except ConfigurationError:
        return
    for route in routes:
        yield "route", route, line_of(Path(directory, ".s2i", "environment"), "ROUTES")


def invalid_names(directory: str) -> Iterator[Finding]:
    """Yield names of a model directory that cannot work."""
    makefile = Path(directory, "Makefile")
    model = makefile_value(directory, "MODEL_NAME")
    if not directory.isidentifier():
        expected = "expected letters, digits and _. Rename the directory."
        yield Finding("names", directory, expected)
    if not NAME.fullmatch(model):
        expected = f"MODEL_NAME {model!r}: expected 1 to 63 characters from a-z 0-9 _ -"
        yield Finding("names", line_of(makefile, "MODEL_NAME"), f"{expected}. Change it.")
    container = makefile_value(directory, "CONTAINER_NAME")
    if not IMAGE.fullmatch(container):
        expected = f"CONTAINER_NAME {container!r}: expected lower-case letters, digits and single -"
        yield Finding("names", line_of(makefile, "CONTAINER_NAME"), f"{expected}. Change it.")
    file = Path(directory, "predict.py")
    served = SERVED.findall(file.read_text(encoding="utf-8")) if file.is_file() else []
    for name in served:
        if name != model:
            problem = f"serves the model {name}, but MODEL_NAME is {model}. Use one name."
            yield Finding("names", line_of(file, "@served"), problem)
