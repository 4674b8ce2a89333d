"""Find imports of an application that can never succeed, without running them.

The import of a module ends at the first exception, such as that of a model file that is missing.
The imports below it are checked here. Only statements that always run are checked: at the top of a
module or a class, and not within `try`, `if` or `with`.
"""

import ast
from collections.abc import Iterator
from importlib.util import find_spec, resolve_name
from pathlib import Path

# These folders are mounted when the image runs. They may contain modules.
MOUNTED = ("data", "models")


def find_file(module: str, root: Path) -> Path | None:
    """Return the file of a module of the application, or None."""
    path = root.joinpath(*module.split("."))
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if file.is_file():
            return file
    return None


def with_packages(module: str) -> list[str]:
    """Return the packages of a module and the module, in the order of their import."""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def statements(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the import statements that always run."""
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            yield statement
        elif isinstance(statement, ast.ClassDef):
            yield from statements(statement.body)


def imported(statement: ast.Import | ast.ImportFrom, package: str, root: Path) -> list[str]:
    """Return the modules that a statement of a package imports."""
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    name = "." * statement.level + (statement.module or "")
    module = resolve_name(name, package) if statement.level else name
    # `from package import name` imports a module if the package has one of this name.
    names = [f"{module}.{alias.name}" for alias in statement.names]
    return [module, *(name for name in names if find_file(name, root))]


def is_missing(module: str, root: Path) -> bool:
    """Return whether no module of this name is in the application or installed."""
    top = module.split(".")[0]
    if top in MOUNTED:
        return False
    if find_file(top, root):
        return not find_file(module, root) and not root.joinpath(*module.split(".")).exists()
    # Only the first name is looked up, because the lookup of others would import the first.
    try:
        return find_spec(top) is None
    except (ImportError, ValueError):
        return False


def certain_failure(entry: str, root: Path) -> str:
    """Return a text for the first import below `entry` that fails, or an empty text.

    It names the file and the line.
    """
    pending = with_packages(entry)
    checked: set[str] = set()
    while pending:
        module = pending.pop(0)
        file = find_file(module, root)
        if module in checked or file is None:
            continue
        checked.add(module)
        source = file.read_bytes()
        # Such a module may add a folder from which it imports others.
        if b"sys.path" in source:
            return ""
        try:
            tree = ast.parse(source, str(file))
        except (SyntaxError, ValueError) as error:
            return f"{file}: is not valid Python ({error!r})"

        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        for statement in statements(tree.body):
            for name in imported(statement, package, root):
                if is_missing(name, root):
                    return f"{file}, line {statement.lineno}: there is no module {name!r}"
                pending += with_packages(name)
    return ""
