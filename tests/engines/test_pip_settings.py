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


# Each option of pip, a value, and the variables that pip and uv get.
PASSED = {
    "index-url": ("https://a.example/simple", ["PIP_INDEX_URL", "UV_DEFAULT_INDEX"]),
    "extra-index-url": ("https://b.example", ["PIP_EXTRA_INDEX_URL", "UV_INDEX"]),
    "trusted-host": ("a.example", ["PIP_TRUSTED_HOST", "UV_INSECURE_HOST"]),
    "cert": ("/my ca.pem", ["PIP_CERT", "SSL_CERT_FILE"]),
    "client-cert": ("/client.pem", ["PIP_CLIENT_CERT", "SSL_CLIENT_CERT"]),
    "timeout": ("60", ["PIP_TIMEOUT", "UV_HTTP_TIMEOUT"]),
    "retries": ("9", ["PIP_RETRIES", "UV_HTTP_RETRIES"]),
    "proxy": ("http://proxy.example:3128", ["HTTP_PROXY", "HTTPS_PROXY"]),
    "find-links": ("/wheels", ["PIP_FIND_LINKS"]),
    "no-index": ("1", ["PIP_NO_INDEX"]),
    "pre": ("true", ["PIP_PRE"]),
    "only-binary": (":all:", ["PIP_ONLY_BINARY"]),
    "no-binary": ("six,click", ["PIP_NO_BINARY"]),
}


def variable_of(option: str) -> str:
    """Return the variable that sets an option of pip."""
    return f"PIP_{option.upper().replace('-', '_')}"


@pytest.mark.parametrize("option", PASSED)
def test_option_of_pip_is_passed_on_from_a_variable_and_from_a_file(
    tmp_path: Path, option: str
) -> None:
    value, names = PASSED[option]
    by_variable = settings(tmp_path, **{variable_of(option): value}).stdout
    configure(tmp_path, f"[global]\n{option} = {value}\n")
    by_file = settings(tmp_path).stdout
    for name in names:
        assert read_by_a_shell(by_variable, name) == value
        assert read_by_a_shell(by_file, name) == value


REFUSED = ["constraint", "requirement", "no-deps", "require-hashes", "platform", "config-settings"]


@pytest.mark.parametrize("option", REFUSED)
def test_option_that_changes_the_requirements_is_refused_by_name(
    tmp_path: Path, option: str
) -> None:
    advice = "Unset it, and write what you need into the requirements file."
    problem = "a build does not support this setting"
    done = settings(tmp_path, **{variable_of(option): "1"})
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == f"settings: {variable_of(option)}: {problem}. {advice}\n"
    # The control: with this value, the option is not set.
    assert settings(tmp_path, **{variable_of(option): "0"}).returncode == 0

    configure(tmp_path, f"[install]\n{option} = 1\n")
    done = settings(tmp_path)
    assert done.stderr == f"settings: {option} in a pip.conf: {problem}. {advice}\n"


@pytest.mark.parametrize("variable", ["UV_CONSTRAINT", "UV_OVERRIDE"])
def test_variable_of_uv_that_changes_the_requirements_is_refused(
    tmp_path: Path, variable: str
) -> None:
    done = settings(tmp_path, **{variable: "limits.txt"})
    assert (done.returncode, variable in done.stderr) == (78, True)


@pytest.mark.parametrize("option", ["user", "target", "prefix", "root", "dry-run", "python"])
def test_place_of_an_installation_is_ignored(tmp_path: Path, option: str) -> None:
    other = settings(tmp_path).stdout
    assert settings(tmp_path, **{variable_of(option): "1"}).stdout == other
    configure(tmp_path, f"[install]\n{option} = /elsewhere\n")
    # pip itself must not read the file either.
    found = set(settings(tmp_path).stdout.splitlines())
    assert found - set(other.splitlines()) <= {"export PIP_CONFIG_FILE=/dev/null"}
    assert "export PIP_CONFIG_FILE=/dev/null" in found


def test_wheels_and_the_certificate_of_the_client_are_copied(tmp_path: Path) -> None:
    wheels = tmp_path / "my wheels"
    wheels.mkdir()
    for name in ("a-1-py3-none-any.whl", "b-1.tar.gz", "notes.txt"):
        (wheels / name).touch()
    (tmp_path / "wheels").symlink_to(wheels)
    client = configure(tmp_path, "key\n", "client.pem")
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    places = f"{tmp_path}/wheels https://a.example/wheels"
    variables = {"PIP_FIND_LINKS": places, "PIP_CLIENT_CERT": str(client)}
    done = settings(tmp_path, mounted, UV_FIND_LINKS=f"file://{tmp_path}/wheels", **variables)
    assert (done.returncode, done.stderr) == (0, "")

    text = (mounted / "env").read_text()
    expected = "/run/s2i-settings/wheels-0 https://a.example/wheels /run/s2i-settings/wheels-2"
    assert read_by_a_shell(text, "PIP_FIND_LINKS") == expected
    assert read_by_a_shell(text, "SSL_CLIENT_CERT") == "/run/s2i-settings/client.pem"
    names = {str(path.relative_to(mounted)) for path in mounted.rglob("*") if path.is_file()}
    copied = {
        f"wheels-{n}/{name}" for n in (0, 2) for name in ("a-1-py3-none-any.whl", "b-1.tar.gz")
    }
    # The machine itself may have a certificate.
    assert names - {"ca.crt"} == copied | {"env", "client.pem"}
