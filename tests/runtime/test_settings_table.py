"""The settings table equals its documentation, and the server reads every setting."""

import ast
from itertools import takewhile
from pathlib import Path

import pytest
from runtime.settings import SETTINGS, Setting, Settings, markdown_table, read_settings
from support.commands import ROOT

RUNTIME = ROOT / "builders/runtime"
MODULE = RUNTIME / "settings.py"
DOCUMENT = ROOT / "docs/serving.md"
NUMBERS = [setting for setting in SETTINGS if setting.minimum is not None]
NAMES = [setting.name for setting in SETTINGS]


def settings_table(document: str) -> str:
    """Return the settings table of a Markdown document, without its indentation."""
    lines = [line.strip() for line in document.splitlines()]
    first = lines.index("| variable | default | limits | what it sets |")
    return "\n".join(takewhile(lambda line: line.startswith("|"), lines[first:]))


def test_settings_table_in_the_documentation_is_the_generated_one() -> None:
    assert settings_table(DOCUMENT.read_text()) == markdown_table()


def test_settings_table_of_an_older_document_differs_from_the_generated_one() -> None:
    older = DOCUMENT.read_text().replace("| PORT | 5000 |", "| PORT | 5001 |")
    assert settings_table(older) != markdown_table()

    shorter = DOCUMENT.read_text().replace("| LOG_FORMAT |", "LOG_FORMAT |")
    assert settings_table(shorter) != markdown_table()


def test_settings_table_may_be_indented() -> None:
    indented = markdown_table().replace("\n", "\n  ")
    assert settings_table(f"- **Settings**:\n\n  {indented}\n\nText.") == markdown_table()


def is_settings(node: ast.expr) -> bool:
    """Return whether an expression is `settings` or `OBJECT.settings`."""
    name = getattr(node, "attr", getattr(node, "id", ""))
    return name == "settings"


def fields_read(*modules: Path) -> set[str]:
    """Return the fields of settings that Python modules read."""
    return {
        node.attr
        for module in modules
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and is_settings(node.value)
    }


OTHER_MODULES = [module for module in RUNTIME.glob("*.py") if module != MODULE]


@pytest.mark.parametrize("field", Settings._fields)
def test_server_reads_every_setting(field: str) -> None:
    assert field in fields_read(*OTHER_MODULES)


def test_setting_that_no_module_reads_is_noticed(tmp_path: Path) -> None:
    module = tmp_path / "app.py"
    module.write_text(
        "settings.port = server.workers\nprint(settings.host, self.settings.max_rows)\n"
    )
    assert fields_read(module) == {"host", "max_rows"}


@pytest.mark.parametrize("setting", NUMBERS, ids=lambda setting: setting.name)
def test_value_of_a_number_setting_arrives_in_the_field_of_its_name(setting: Setting) -> None:
    field = setting.name.lower()
    for value in (setting.minimum, setting.maximum):
        settings = read_settings({setting.name: str(value)})
        assert getattr(settings, field) == value


@pytest.mark.parametrize("setting", NUMBERS, ids=lambda setting: setting.name)
def test_default_of_a_number_setting_is_within_its_limits(setting: Setting) -> None:
    default = getattr(read_settings({}), setting.name.lower())
    assert setting.minimum is not None
    assert setting.maximum is not None
    assert setting.minimum <= default <= setting.maximum


@pytest.mark.parametrize("name", NAMES)
def test_empty_setting_means_its_default(name: str) -> None:
    assert read_settings({name: ""}) == read_settings({})
