"""engines/pip_settings.py: the index, proxies and CA that a build gets."""

import os
import sys
from pathlib import Path

import pytest
from support.commands import ROOT, Completed, run


def settings(home: Path, *arguments: str | Path, **variables: str) -> Completed:
    """Run pip_settings.py with the home directory `home` and the real /etc/pip.conf."""
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], **variables}
    words = [f"{name}={value}" for name, value in environment.items()]
    script = ROOT / "engines/pip_settings.py"
    return run("env", "-i", *words, sys.executable, script, *arguments)


def read_by_a_shell(text: str, name: str) -> str:
    """Return the value that a shell gives to a variable."""
    return run("bash", "-c", f'eval "$1"; printf %s "${name}"', "bash", text).stdout


def configure(home: Path, text: str, file: str = ".config/pip/pip.conf") -> Path:
    """Write a configuration file below the home directory and return its path."""
    (home / file).parent.mkdir(parents=True, exist_ok=True)
    (home / file).write_text(text)
    return home / file


def test_the_index_of_pip_serves_uv_too(tmp_path: Path) -> None:
    text = settings(tmp_path, PIP_INDEX_URL="https://index.example/simple").stdout
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"):
        assert read_by_a_shell(text, name) == "https://index.example/simple"


def test_a_variable_wins_over_the_configuration_file(tmp_path: Path) -> None:
    lines = [
        "[global]",
        "index-url = https://file.example/%(x)s",
        "extra-index-url =",
        "  https://a.example",
        "  https://b",
        "",
    ]
    configure(tmp_path, "\n".join(lines))
    text = settings(tmp_path).stdout
    assert read_by_a_shell(text, "PIP_INDEX_URL") == "https://file.example/%(x)s"
    assert read_by_a_shell(text, "UV_INDEX") == "https://a.example https://b"
    text = settings(tmp_path, PIP_INDEX_URL="https://variable.example").stdout
    assert read_by_a_shell(text, "UV_DEFAULT_INDEX") == "https://variable.example"


def test_the_file_of_pip_config_file_wins_over_the_users(tmp_path: Path) -> None:
    configure(tmp_path, "[global]\nindex-url = https://home.example\n")
    own = configure(tmp_path, "[install]\nindex-url = https://own.example\n", "own.conf")
    text = settings(tmp_path, PIP_CONFIG_FILE=str(own)).stdout
    assert read_by_a_shell(text, "PIP_INDEX_URL") == "https://own.example"


def test_the_null_device_as_configuration_hides_every_file(tmp_path: Path) -> None:
    configure(tmp_path, "[global]\nindex-url = https://home.example\ncert = /ca.pem\n")
    assert "home.example" in settings(tmp_path).stdout
    assert settings(tmp_path, PIP_CONFIG_FILE=os.devnull).stdout == ""


@pytest.mark.parametrize(
    "value", ["a b", "it's", '"q"', "$(touch x)", "`touch x`", "a\nb", "\\", ";exit 3", "*", "ü"]
)
def test_odd_values_reach_the_shell_unchanged(tmp_path: Path, value: str) -> None:
    done = settings(tmp_path, HTTPS_PROXY=value)
    assert done.returncode == 0
    assert read_by_a_shell(done.stdout, "HTTPS_PROXY") == value


def test_the_ca_is_copied_next_to_the_settings(tmp_path: Path) -> None:
    authority = configure(tmp_path, "certificate\n", "company's ca.pem")
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    done = settings(
        tmp_path,
        mounted,
        SSL_CERT_FILE=str(authority),
        PIP_INDEX_URL="https://user:pass@index.example",
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert (mounted / "ca.crt").read_text() == "certificate\n"
    text = (mounted / "env").read_text()
    for name in ("SSL_CERT_FILE", "PIP_CERT"):
        assert read_by_a_shell(text, name) == "/run/s2i-settings/ca.crt"
    assert read_by_a_shell(text, "PIP_INDEX_URL") == "https://user:pass@index.example"


def test_a_ca_that_is_missing_is_named(tmp_path: Path) -> None:
    done = settings(tmp_path, tmp_path, SSL_CERT_FILE="/nonexistent/ca.pem")
    assert (done.returncode, "Traceback" in done.stderr) == (78, False)
    assert "/nonexistent/ca.pem" in done.stderr


@pytest.mark.parametrize("text", ["index-url = https://u:s3cret@h\n", "[global]\nindex s3cret\n"])
def test_a_broken_configuration_file_is_named_without_its_secrets(
    tmp_path: Path, text: str
) -> None:
    file = configure(tmp_path, text)
    done = settings(tmp_path)
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (78, "", False)
    assert str(file) in done.stderr
    assert "s3cret" not in done.stderr
