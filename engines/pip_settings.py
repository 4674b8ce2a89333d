"""Print the index, proxies and CA that this machine's pip uses.

Usage: pip_settings.py            prints `export KEY=value` lines for this machine
       pip_settings.py DIRECTORY  writes them to DIRECTORY/env, and the CA to DIRECTORY/ca.crt;
                                  a build mounts DIRECTORY at /run/s2i-settings

The settings are mounted into a build. `s2i build -e` would keep them in the image.
This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import sys
from pathlib import Path

MOUNTED = "/run/s2i-settings"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


class UnusableFile(Exception):
    """A file of settings that can't be used; the message names it."""


def pip_configuration() -> dict[str, str]:
    """Return the settings in pip's configuration files.

    The settings are those of the sections [global] and [install]. A later file overrides an earlier
    one. Raises UnusableFile for a file that pip cannot read.
    """
    own = os.environ.get("PIP_CONFIG_FILE")
    # With the null device as PIP_CONFIG_FILE, pip reads no configuration file at all.
    if own == os.devnull:
        return {}

    # A user without a home directory keeps "~", which no file has.
    home = Path(os.path.expanduser("~"))
    files = [
        "/etc/pip.conf",
        str(home / ".pip/pip.conf"),
        str(home / ".config/pip/pip.conf"),
        str(home / "Library/Application Support/pip/pip.conf"),
    ]
    if own:
        files.append(own)

    parser = configparser.RawConfigParser()
    try:
        parser.read(files)
    except configparser.Error as error:
        # The message must not contain the text of this error, which quotes the line: the line may
        # contain a password.
        file = getattr(error, "source", "a pip.conf")
        raise UnusableFile(f"{file}: is not a configuration file that pip can read") from None

    configured: dict[str, str] = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            configured.update(parser[section])
    return configured


def settings() -> dict[str, str]:
    """Return variables for pip and uv.

    Variables of the environment override pip's configuration files. Raises UnusableFile for a
    configuration file that pip cannot read.
    """
    configured = pip_configuration()

    def first_set(variables: tuple[str, ...], option: str) -> str:
        for variable in variables:
            if os.environ.get(variable):
                return os.environ[variable]
        return configured.get(option, "")

    index = first_set(("UV_DEFAULT_INDEX", "PIP_INDEX_URL"), "index-url")
    extra = first_set(("UV_INDEX", "PIP_EXTRA_INDEX_URL"), "extra-index-url")
    trusted = first_set(("UV_INSECURE_HOST", "PIP_TRUSTED_HOST"), "trusted-host")
    authority = first_set(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"), "cert")
    # A configuration file may have one address on each line.
    extra = " ".join(extra.split())
    trusted = " ".join(trusted.split())

    variables = {
        "PIP_INDEX_URL": index,
        "UV_DEFAULT_INDEX": index,
        "PIP_EXTRA_INDEX_URL": extra,
        "UV_INDEX": extra,
        "PIP_TRUSTED_HOST": trusted,
        "UV_INSECURE_HOST": trusted,
        "SSL_CERT_FILE": authority,
        "PIP_CERT": authority,
    }
    for name in PROXIES:
        variables[name] = os.environ.get(name, "")
    return {name: value for name, value in variables.items() if value}


def exports(variables: dict[str, str]) -> str:
    """Return the shell text that sets `variables`."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    return "".join(lines)


def write(variables: dict[str, str], directory: Path) -> None:
    """Write the settings and the CA to `directory`.

    The path of the CA in the settings is its path inside a container.
    Raises UnusableFile if the CA can't be copied.
    """
    if "SSL_CERT_FILE" in variables:
        try:
            shutil.copyfile(variables["SSL_CERT_FILE"], directory / "ca.crt")
        except OSError as error:
            problem = f"{error.filename}: {error.strerror}"
            raise UnusableFile(
                f"{problem}. Set SSL_CERT_FILE to a CA file that you can read"
            ) from None
        mounted = f"{MOUNTED}/ca.crt"
        variables = {**variables, "SSL_CERT_FILE": mounted, "PIP_CERT": mounted}

    (directory / "env").write_text(exports(variables))


def main(arguments: list[str]) -> int:
    """Print the settings, or write them to a directory, and return the exit code."""
    try:
        variables = settings()
        if arguments:
            write(variables, Path(arguments[0]))
        else:
            print(exports(variables), end="")
    except UnusableFile as error:
        print(f"settings: {error}", file=sys.stderr)
        return 78
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
