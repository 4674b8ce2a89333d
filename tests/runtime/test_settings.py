"""Settings: limits, messages for invalid ones, and the lists for the engines."""

import math
import re
import sys
from pathlib import Path

import pytest
from runtime.settings import SETTINGS, ConfigurationError, Setting, default_workers, read_settings
from runtime.threads import THREAD_VARIABLES, cpu_limit
from support.applications import routes, write_application
from support.commands import ROOT, Completed, output_of, run
from support.server import start_and_fail

NUMBERS = [setting for setting in SETTINGS if setting.minimum is not None]
by_name = pytest.mark.parametrize("setting", NUMBERS, ids=lambda setting: setting.name)


@by_name
def test_setting_rejects_numbers_outside_its_limits(setting: Setting) -> None:
    assert setting.minimum is not None
    assert setting.maximum is not None
    for number in (setting.minimum - 1, setting.maximum + 1):
        with pytest.raises(ConfigurationError) as caught:
            setting.value({setting.name: str(number)})
        limits = f"from {setting.minimum} to {setting.maximum}"
        expected = f"{setting.name}={number}: expected a whole number {limits}"
        assert str(caught.value) == expected


@by_name
def test_setting_accepts_its_limits(setting: Setting) -> None:
    for number in (setting.minimum, setting.maximum):
        assert setting.value({setting.name: str(number)}) == number


@by_name
def test_setting_that_is_empty_or_unset_has_its_default(setting: Setting) -> None:
    assert setting.value({setting.name: ""}) == setting.default
    assert setting.value({}) == setting.default


def invalid_number(name: str, text: str, minimum: int, maximum: int) -> tuple[str, str, str]:
    """Return a setting, an invalid value and the message that rejects it."""
    message = f"{name}={text}: expected a whole number from {minimum} to {maximum}"
    return name, text, message


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        invalid_number("PORT", "abc", 1, 65535),
        invalid_number("PORT", "0", 1, 65535),
        invalid_number("PORT", "65536", 1, 65535),
        invalid_number("PORT", "5000 ", 1, 65535),
        invalid_number("PORT", "５０００", 1, 65535),
        invalid_number("PORT", "1" * 5000, 1, 65535),
        invalid_number("WORKERS", "0", 1, 64),
        invalid_number("WORKERS", "1.5", 1, 64),
        invalid_number("WORKERS", "auto", 1, 64),
        invalid_number("MAX_BODY_BYTES", "-1", 1, 1 << 40),
        invalid_number("MAX_BODY_BYTES", "16M", 1, 1 << 40),
        invalid_number("MAX_ROWS", "0", 1, 1 << 40),
        invalid_number("MAX_WAITING", "0", 1, 1 << 40),
        invalid_number("HEADER_SECONDS", "0", 1, 3600),
        invalid_number("BODY_SECONDS", "0", 1, 3600),
        invalid_number("BODY_SECONDS", "1e3", 1, 3600),
        invalid_number("DRAIN_SECONDS", "-1", 0, 600),
        invalid_number("DRAIN_SECONDS", "601", 0, 600),
    ],
)
def test_start_fails_with_an_invalid_setting(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    write_application(tmp_path)
    done = start_and_fail(tmp_path, routes("names"), **{name: text})
    assert done.returncode == 78
    assert done.stdout == ""
    # A long value is shortened.
    assert done.stderr[:1_000] == f"predict: {message}\n"[:1_000]
    assert done.stderr.endswith(message[-20:] + "\n")


def start_without_own_file(directory: Path, **variables: str) -> Completed:
    """Start a server whose application fails on import, because its file is missing."""
    write_application(directory, "own_file")
    return start_and_fail(directory, routes("content", module="own_file"), **variables)


@pytest.mark.parametrize("name", ["MAX_BODY_BYTES", "DRAIN_SECONDS"])
def test_start_checks_settings_before_it_imports_the_application(tmp_path: Path, name: str) -> None:
    done = start_without_own_file(tmp_path, **{name: "x"})
    assert done.stderr.startswith(f"predict: {name}=x: expected")


def test_start_with_valid_settings_imports_the_application(tmp_path: Path) -> None:
    done = start_without_own_file(tmp_path, MAX_BODY_BYTES="1", DRAIN_SECONDS="0")
    assert "importing own_file failed" in done.stderr


@pytest.mark.parametrize(
    ("limit", "expected"), [(math.inf, 1), (0.5, 1), (1.0, 1), (2.0, 2), (2.5, 2), (4.0, 4)]
)
def test_number_of_workers_follows_the_cpu_limit(limit: float, expected: int) -> None:
    assert default_workers(limit) == expected


def test_number_of_workers_is_that_of_the_cgroup_unless_it_is_set() -> None:
    assert read_settings({}).workers == default_workers(cpu_limit())
    assert read_settings({"WORKERS": "7"}).workers == 7


def run_module(*arguments: str) -> Completed:
    """Run `python3 -m runtime.settings`, as the engines do."""
    command = (sys.executable, "-m", "runtime.settings", *arguments)
    return run(*command, env={"PYTHONPATH": str(ROOT / "builders")})


def test_names_and_files_print_every_setting_that_an_engine_passes_on() -> None:
    names = output_of(run_module("names")).splitlines()
    files = output_of(run_module("files")).splitlines()

    set_by_engine = {"HOST", "PORT", "PUBLIC_URL"}
    expected = {*(setting.name for setting in SETTINGS), *THREAD_VARIABLES} - set_by_engine
    assert sorted(names + files) == sorted(expected)
    assert set(files) == {"API_KEY_FILE", "MODEL_HMAC_KEY_FILE"}


def test_table_has_a_row_for_each_setting() -> None:
    header, line, *rows = output_of(run_module("table")).splitlines()
    assert header == "| variable | default | limits | what it sets |"
    assert re.fullmatch(r"(\|---){4}\|", line)

    cells = [row.strip("| ").split(" | ") for row in rows]
    assert [row[0] for row in cells] == [setting.name for setting in SETTINGS]
    assert [row[-1] for row in cells] == [setting.help for setting in SETTINGS]


@pytest.mark.parametrize("arguments", [(), ("name",), ("names", "files"), ("--help",)])
def test_unknown_command_prints_the_usage(arguments: tuple[str, ...]) -> None:
    done = run_module(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Usage: python3 -m runtime.settings names" in done.stderr


NO_NUMBERS = [" ", "1.5", "1e3", "+1", "-1", "5 ", "auto", "16M", "５", "1_0", "1" * 5_000]


@pytest.mark.parametrize("text", NO_NUMBERS)
@by_name
def test_setting_rejects_a_text_that_is_no_whole_number(setting: Setting, text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a whole number from"):
        setting.value({setting.name: text})


CHOICES = [setting for setting in SETTINGS if setting.choices]


@pytest.mark.parametrize("setting", CHOICES, ids=lambda setting: setting.name)
def test_setting_with_choices_rejects_any_other_text(setting: Setting) -> None:
    for choice in setting.choices:
        assert setting.value({setting.name: choice}) == choice

    with pytest.raises(ConfigurationError) as caught:
        setting.value({setting.name: "other"})
    expected = " or ".join(setting.choices)
    assert str(caught.value) == f"{setting.name}=other: expected {expected}"
