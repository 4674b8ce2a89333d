"""load_function: what it returns, and the error for each kind of failure."""

from pathlib import Path

import pytest
from runtime.environment import ConfigurationError
from runtime.loader import load_function

WHERE = "route a"
MODULE = "def predict(msg):\n    return {'echo': msg}\n\nnumber = 1\n"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that can be imported, different for each test."""
    name = f"loaded_{tmp_path.name}"
    write_module(tmp_path, name, MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def write_module(directory: Path, name: str, source: str) -> None:
    """Write a module's file."""
    (directory / f"{name}.py").write_text(source)


def load_error(module: str, function: str) -> ConfigurationError:
    """Return the error that loading a function must raise."""
    with pytest.raises(ConfigurationError) as raised:
        load_function(WHERE, module, function)
    return raised.value


def test_load_function_returns_the_function(module: str) -> None:
    function = load_function(WHERE, module, "predict")

    assert function(1) == {"echo": 1}


def test_load_function_names_a_missing_module() -> None:
    error = load_error("no_such_module", "predict")

    cause = "ModuleNotFoundError(\"No module named 'no_such_module'\")"
    assert str(error) == f"{WHERE}: importing no_such_module failed: {cause}"
    assert isinstance(error.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize("name", ["none", "number"])
def test_load_function_names_a_missing_function(module: str, name: str) -> None:
    error = load_error(module, name)

    assert str(error) == f"{WHERE}: {module} has no function {name}"
    assert error.__cause__ is None


@pytest.mark.parametrize(
    ("source", "cause", "text"),
    [
        ("1 / 0\n", ZeroDivisionError, "ZeroDivisionError('division by zero')"),
        ("import no_such\n", ImportError, "ModuleNotFoundError(\"No module named 'no_such'\")"),
        ("import sys\nsys.exit(3)\n", SystemExit, "SystemExit(3)"),
    ],
)
def test_load_function_keeps_the_cause_of_a_failed_import(
    tmp_path: Path, module: str, source: str, cause: type[BaseException], text: str
) -> None:
    write_module(tmp_path, module, source)

    error = load_error(module, "predict")

    assert str(error) == f"{WHERE}: importing {module} failed: {text}"
    assert isinstance(error.__cause__, cause)


def test_load_function_does_not_catch_an_interrupt(tmp_path: Path, module: str) -> None:
    write_module(tmp_path, module, "raise KeyboardInterrupt\n")

    with pytest.raises(KeyboardInterrupt):
        load_function(WHERE, module, "predict")
