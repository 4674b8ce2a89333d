"""Settings: their limits, and the commands of the table."""

import ast
import sys

import pytest
from runtime.environment import ConfigurationError
from runtime.settings import SET_BY_ENGINE, SETTINGS, Setting, markdown_table, read_settings
from support.commands import ROOT, Completed, output_of, run

MODULE = ROOT / "builders/runtime/settings.py"
NAMES = [setting.name for setting in SETTINGS]
NUMBERS = [setting for setting in SETTINGS if setting.minimum is not None]
NO_NUMBERS = [" ", "1.5", "1e3", "+1", "-1", "5 ", "auto", "16M", "５", "1_0", "1" * 5_000]


def rejection(setting: Setting, text: str) -> str:
    """Return the message with which a setting rejects a text."""
    with pytest.raises(ConfigurationError) as raised:
        read_settings({setting.name: text})
    return str(raised.value)


def expected_rejection(setting: Setting, text: str) -> str:
    """Return the message that names a number setting's text and limits."""
    limits = f"expected a whole number from {setting.minimum} to {setting.maximum}"
    return f"{setting.name}={text}: {limits}"


@pytest.mark.parametrize("setting", NUMBERS, ids=lambda setting: setting.name)
def test_number_setting_rejects_values_outside_its_limits(setting: Setting) -> None:
    assert setting.minimum is not None
    assert setting.maximum is not None

    for text in (str(setting.minimum - 1), str(setting.maximum + 1)):
        assert rejection(setting, text) == expected_rejection(setting, text)


@pytest.mark.parametrize("text", NO_NUMBERS)
@pytest.mark.parametrize("setting", NUMBERS, ids=lambda setting: setting.name)
def test_number_setting_rejects_a_text_that_is_no_whole_number(setting: Setting, text: str) -> None:
    assert rejection(setting, text) == expected_rejection(setting, text)


CHOICES = [setting for setting in SETTINGS if setting.choices]


@pytest.mark.parametrize("setting", CHOICES, ids=lambda setting: setting.name)
def test_setting_with_choices_rejects_any_other_text(setting: Setting) -> None:
    for choice in setting.choices:
        assert setting.value({setting.name: choice}) == choice

    expected = " or ".join(setting.choices)
    assert rejection(setting, "other") == f"{setting.name}=other: expected {expected}"


def settings_command(*arguments: str) -> Completed:
    """Run the module as the engines do."""
    environment = {"PYTHONPATH": "builders"}
    return run(sys.executable, "-m", "runtime.settings", *arguments, env=environment)


def test_names_and_files_list_every_setting_that_a_container_gets_once() -> None:
    names = output_of(settings_command("names")).splitlines()
    files = output_of(settings_command("files")).splitlines()
    assert sorted([*names, *files, *SET_BY_ENGINE]) == sorted(NAMES)


def test_files_lists_the_settings_that_name_a_file() -> None:
    files = output_of(settings_command("files")).splitlines()
    assert files == [name for name in NAMES if name.endswith("_FILE")]
    assert files != []


def test_table_prints_the_documented_table() -> None:
    assert output_of(settings_command("table")).rstrip("\n") == markdown_table()


@pytest.mark.parametrize("arguments", [(), ("cook",), ("names", "files"), ("--help",)])
def test_wrong_command_prints_the_usage_and_exits_2(arguments: tuple[str, ...]) -> None:
    usage = ast.get_docstring(ast.parse(MODULE.read_text()), clean=False)
    done = settings_command(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"{usage}\n"
