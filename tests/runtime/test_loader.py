"""The loader of functions, and its one message if a function is missing."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime.loader import load_function
from runtime.settings import ConfigurationError
from support.commands import ROOT, Completed, run

RUNTIME = ROOT / "builders/runtime"
SAMPLE = """
imports = []
number = 1


def predict(msg):
    return {}


class Predictor:
    def __call__(self, msg):
        return {}


instance = Predictor()
imports.append(1)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a module `sample_application` that is not imported yet."""
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "sample_application.py"
    file.write_text(SAMPLE)
    yield file
    sys.modules.pop(file.stem, None)


def load_error(module: str, name: str) -> ConfigurationError:
    """Return the error of a function that can't be loaded."""
    with pytest.raises(ConfigurationError) as raised:
        load_function("route a", module, name)
    return raised.value


@pytest.mark.parametrize("name", ["predict", "Predictor", "instance"])
def test_loader_returns_a_callable_of_the_module(module: Path, name: str) -> None:
    function = load_function("route a", module.stem, name)
    assert function is getattr(sys.modules[module.stem], name)


def test_loader_imports_the_module_of_two_functions_once(module: Path) -> None:
    load_function("route a", module.stem, "predict")
    load_function("route b", module.stem, "instance")
    assert sys.modules[module.stem].imports == [1]


@pytest.mark.parametrize("name", ["none", "number"])
def test_name_that_is_no_function_is_an_error_without_a_cause(module: Path, name: str) -> None:
    error = load_error(module.stem, name)
    assert str(error) == f"route a: sample_application has no function {name}"
    assert error.__cause__ is None


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("1 / 0", ZeroDivisionError),
        ("def f(:", SyntaxError),
        ("raise SystemExit(0)", SystemExit),
        ("import no_such_module", ModuleNotFoundError),
        ("open('/nonexistent')", FileNotFoundError),
    ],
)
def test_failed_import_is_an_error_with_its_cause(
    module: Path, source: str, cause: type[BaseException]
) -> None:
    module.write_text(f"{source}\n")
    error = load_error(module.stem, "predict")
    assert type(error.__cause__) is cause
    assert str(error) == f"route a: importing {module.stem} failed: {error.__cause__!r}"


def test_missing_module_is_an_error_with_its_cause() -> None:
    error = load_error("no_such_module", "predict")
    assert str(error) == (
        "route a: importing no_such_module failed: "
        "ModuleNotFoundError(\"No module named 'no_such_module'\")"
    )


def test_interrupt_during_the_import_is_not_an_error_of_the_module(module: Path) -> None:
    module.write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_function("route a", module.stem, "predict")


def run_program(directory: Path, program: str, *arguments: str) -> Completed:
    """Run a program of the runtime on the functions of directory/app.py."""
    environment = {
        "PYTHONPATH": str(ROOT / "builders"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LOG_FORMAT": "text",
        "ROUTES": "a:app:function",
        "TRAIN": "1",
        "TRAIN_MODULE": "app",
        "TRAIN_FUNCTION": "function",
    }
    command = (sys.executable, "-m", f"runtime.{program}", *arguments)
    return run(*command, cwd=directory, env=environment, seconds=20)


PROGRAMS = [
    (("check", "predict"), "check: route a"),
    (("check", "train"), "check: TRAIN_MODULE"),
    (("serve",), "predict: route a"),
    (("train",), "train: TRAIN_MODULE"),
]


@pytest.mark.parametrize(("command", "where"), PROGRAMS)
def test_every_program_rejects_a_missing_function_with_the_loaders_sentence(
    tmp_path: Path, command: tuple[str, ...], where: str
) -> None:
    (tmp_path / "app.py").write_text("")
    done = run_program(tmp_path, *command)
    assert done.returncode == 78
    assert done.stderr == f"{where}: app has no function function\n"


@pytest.mark.parametrize(("command", "where"), PROGRAMS)
def test_every_program_rejects_a_module_of_invalid_python_with_the_loaders_sentence(
    tmp_path: Path, command: tuple[str, ...], where: str
) -> None:
    (tmp_path / "app.py").write_text("def f(:\n")
    done = run_program(tmp_path, *command)
    assert done.returncode == 78

    last_line = done.stderr.splitlines()[-1]
    assert last_line.startswith(f"{where}: importing app failed: SyntaxError(")


@pytest.mark.parametrize("command", [("check", "predict"), ("check", "train"), ("train",)])
def test_program_accepts_a_function_that_exists(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "app.py").write_text("def function(msg):\n    return {}\n")
    done = run_program(tmp_path, *command)
    assert done.returncode == 0
    assert done.stderr == ""


def imports_by_name(source: str) -> bool:
    """Return whether a Python source calls import_module or __import__."""
    names = {
        getattr(node.func, "attr", getattr(node.func, "id", ""))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
    }
    return bool(names & {"import_module", "__import__"})


def test_no_other_module_of_the_runtime_imports_by_name() -> None:
    importing = [file.name for file in RUNTIME.rglob("*.py") if imports_by_name(file.read_text())]
    assert importing == ["loader.py"]


@pytest.mark.parametrize(
    "source", ["importlib.import_module(name)", "import_module(name)", "__import__(name)"]
)
def test_call_that_imports_by_name_is_found(source: str) -> None:
    assert imports_by_name(source)
