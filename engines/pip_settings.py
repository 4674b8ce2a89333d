"""Print the settings of this machine's pip and uv that a build uses.

Usage: pip_settings.py            prints `export KEY=value` lines for this machine
       pip_settings.py DIRECTORY  writes them to DIRECTORY/env, and the files that they name to
                                  DIRECTORY; a build mounts DIRECTORY at /run/s2i-settings

The settings are those of the tables below: index, proxies, CA, wheels and versions. The exit code
is 78 for a setting that a build does not support. A build decides where it installs packages,
and ignores settings such as PIP_USER. The settings are mounted into a build, because `s2i build -e`
would keep them in the image. This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

MOUNTED = "/run/s2i-settings"
# The options of pip that a build applies, and the variables that mean the same. The first variable
# is that of uv.
OPTIONS: dict[str, tuple[str, ...]] = {
    "index-url": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "extra-index-url": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "trusted-host": ("UV_INSECURE_HOST",),
    "cert": ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"),
    "client-cert": ("SSL_CLIENT_CERT",),
    "timeout": ("UV_HTTP_TIMEOUT", "PIP_DEFAULT_TIMEOUT"),
    "retries": ("UV_HTTP_RETRIES",),
    # builders/install_packages.py passes these on to uv.
    **dict.fromkeys(("find-links", "no-index", "pre", "only-binary", "no-binary"), ()),
}
# These variables of uv have no option of pip.
OF_UV = (
    *("UV_EXCLUDE_NEWER", "UV_INDEX_STRATEGY", "UV_KEYRING_PROVIDER"),
    *("UV_PRERELEASE", "UV_RESOLUTION"),
)
# A build rejects these options of pip: they change the meaning of the requirements files.
REFUSED = (
    *("abi", "build-constraint", "config-settings", "constraint", "editable", "global-option"),
    *("ignore-requires-python", "implementation", "no-build-isolation", "no-deps", "platform"),
    *("python-version", "require-hashes", "requirement"),
)
REFUSED_OF_UV = ("UV_BUILD_CONSTRAINT", "UV_CONSTRAINT", "UV_EXCLUDE", "UV_OVERRIDE")
FALSE = ("", "0", "f", "false", "n", "no", "off")
# The options whose values are files, and the names of their copies.
FILES = {"cert": "ca.crt", "client-cert": "client.pem"}
ARCHIVES = (".whl", ".tar.gz", ".zip")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


class UnusableSetting(Exception):
    """A setting or a file of settings that cannot be used; the message names it."""


def pip_configuration() -> dict[str, str]:
    """Return the settings in pip's configuration files.

    The settings are those of the sections [global] and [install]. A later file overrides an earlier
    one. Raises UnusableSetting for a file that pip cannot read.
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
        raise UnusableSetting(f"{file}: is not a configuration file that pip can read") from None

    configured: dict[str, str] = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            configured.update(parser[section])
    return configured


def pip_variable(option: str) -> str:
    """Return the variable that sets an option of pip."""
    return f"PIP_{option.upper().replace('-', '_')}"


def refuse(configured: dict[str, str]) -> None:
    """Raise UnusableSetting for a setting that a build does not support."""
    found = []
    for option in REFUSED:
        if os.environ.get(pip_variable(option), "").lower() not in FALSE:
            found.append(pip_variable(option))
        elif configured.get(option, "").lower() not in FALSE:
            found.append(f"{option} in a pip.conf")
    found += [variable for variable in REFUSED_OF_UV if os.environ.get(variable)]
    if found:
        problem = f"{found[0]}: a build does not support this setting"
        advice = "Unset it, and write what you need into the requirements file."
        raise UnusableSetting(f"{problem}. {advice}")


def settings() -> dict[str, str]:
    """Return variables for pip and uv.

    Variables of the environment override pip's configuration files. Raises UnusableSetting for a
    setting that a build does not support, and for a file that pip cannot read.
    """
    configured = pip_configuration()
    refuse(configured)

    variables = {}
    for option, others in OPTIONS.items():
        names = (*others, pip_variable(option))
        values = [os.environ[name] for name in names if os.environ.get(name)]
        value = values[0] if values else configured.get(option, "")
        # A configuration file may have one value on each line.
        for name in (pip_variable(option), *others[:1]):
            variables[name] = value if option in FILES else " ".join(value.split())
    for name in (*OF_UV, *PROXIES):
        variables[name] = os.environ.get(name, "")
    # uv separates its places by commas.
    places = [variables["PIP_FIND_LINKS"], *os.environ.get("UV_FIND_LINKS", "").split(",")]
    variables["PIP_FIND_LINKS"] = " ".join(place for place in places if place)
    proxy = os.environ.get("PIP_PROXY") or configured.get("proxy", "")
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        variables[name] = proxy or variables[name]
    if configured:
        # pip needs no other setting of these files. Some would install uv at another place.
        variables["PIP_CONFIG_FILE"] = os.devnull
    return {name: value for name, value in variables.items() if value}


def exports(variables: dict[str, str]) -> str:
    """Return the shell text that sets `variables`."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    return "".join(lines)


def write(variables: dict[str, str], directory: Path) -> None:
    """Write the settings and the files that they name to `directory`.

    The paths in the settings are those inside a container.
    Raises UnusableSetting if a file can't be copied.
    """
    variables = {**variables}
    # A base image may have a pip.conf of its own.
    variables.pop("PIP_CONFIG_FILE", None)
    for option, name in FILES.items():
        variable = OPTIONS[option][0]
        if variable in variables:
            copy_file(variable, variables[variable], directory / name)
            variables[variable] = variables[pip_variable(option)] = f"{MOUNTED}/{name}"
    if "PIP_FIND_LINKS" in variables:
        variables["PIP_FIND_LINKS"] = copy_wheels(variables["PIP_FIND_LINKS"], directory)

    (directory / "env").write_text(exports(variables))


def copy_file(variable: str, source: str, copy: Path) -> None:
    """Copy the file that a variable names; raise UnusableSetting if that fails."""
    try:
        shutil.copyfile(source, copy)
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}"
        raise UnusableSetting(f"{problem}. {variable} names this file") from None


def copy_wheels(places: str, directory: Path) -> str:
    """Copy the packages of local folders; return all places as a container sees them."""
    found = []
    for number, place in enumerate(places.split()):
        folder = Path(re.sub("^file://(localhost)?", "", place))
        if not folder.is_dir():
            found.append(place)
            continue
        name = f"wheels-{number}"
        (directory / name).mkdir()
        for file in folder.iterdir():
            if file.name.endswith(ARCHIVES):
                shutil.copyfile(file, directory / name / file.name)
        found.append(f"{MOUNTED}/{name}")
    return " ".join(found)


def main(arguments: list[str]) -> int:
    """Print the settings, or write them to a directory, and return the exit code."""
    try:
        variables = settings()
        if arguments:
            write(variables, Path(arguments[0]))
        else:
            print(exports(variables), end="")
    except UnusableSetting as error:
        print(f"settings: {error}", file=sys.stderr)
        return 78
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
