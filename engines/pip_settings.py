"""The package index, proxies and CA that this machine's pip uses, as shell text for a build. Standard library only.

Usage: pip_settings.py            prints `export KEY=value` lines for this machine
       pip_settings.py DIRECTORY  writes them to DIRECTORY/env, and the CA beside it, to be mounted at /run/s2i-settings

They are mounted into a build, never passed with `s2i build -e`, which would keep them in the image.
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


class Unusable(Exception):
    """A file of settings that can't be used; the message names it."""


def pip_configuration() -> dict[str, str]:
    """The [global] and [install] settings of pip's configuration files, the later file winning."""
    home = Path.home()
    files = [
        "/etc/pip.conf",
        *(str(path) for path in (home / ".pip/pip.conf", home / ".config/pip/pip.conf")),
        str(home / "Library/Application Support/pip/pip.conf"),
        os.environ.get("PIP_CONFIG_FILE", ""),
    ]
    parser = configparser.RawConfigParser()
    try:
        parser.read([name for name in files if name and name != os.devnull])
    except configparser.Error as error:
        # Not the error's own text: it quotes the line, which may hold a password.
        raise Unusable(
            f"{getattr(error, 'source', 'a pip.conf')}: is not a configuration file that pip can read"
        ) from None
    return {
        key: value
        for section in ("global", "install")
        if section in parser
        for key, value in parser[section].items()
    }


def settings() -> dict[str, str]:
    """Variables for pip and uv: what the environment says, else what pip's configuration files say."""
    configured = pip_configuration()

    def either(variable: str, option: str) -> str:
        return os.environ.get(variable) or configured.get(option, "")

    index = os.environ.get("UV_DEFAULT_INDEX") or either("PIP_INDEX_URL", "index-url")
    extra = os.environ.get("UV_INDEX") or either("PIP_EXTRA_INDEX_URL", "extra-index-url")
    trusted = os.environ.get("UV_INSECURE_HOST") or either("PIP_TRUSTED_HOST", "trusted-host")
    authority = (
        os.environ.get("SSL_CERT_FILE")
        or os.environ.get("REQUESTS_CA_BUNDLE")
        or either("PIP_CERT", "cert")
    )
    variables = {
        "PIP_INDEX_URL": index,
        "UV_DEFAULT_INDEX": index,
        "PIP_EXTRA_INDEX_URL": " ".join(extra.split()),
        "UV_INDEX": " ".join(extra.split()),
        "PIP_TRUSTED_HOST": " ".join(trusted.split()),
        "UV_INSECURE_HOST": " ".join(trusted.split()),
        "SSL_CERT_FILE": authority,
        "PIP_CERT": authority,
        **{name: os.environ.get(name, "") for name in PROXIES},
    }
    return {name: value for name, value in variables.items() if value}


def main(directory: str | None) -> None:
    """Prints the settings, or writes them to `directory` with the CA's path as a container will see it."""
    variables = settings()
    if directory and "SSL_CERT_FILE" in variables:
        try:
            shutil.copyfile(variables["SSL_CERT_FILE"], Path(directory) / "ca.crt")
        except OSError as error:
            raise Unusable(
                f"{error.filename}: {error.strerror}; it is named as the CA (SSL_CERT_FILE)"
            ) from None
        variables.update(SSL_CERT_FILE=f"{MOUNTED}/ca.crt", PIP_CERT=f"{MOUNTED}/ca.crt")
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    if directory:
        (Path(directory) / "env").write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else None)
    except Unusable as problem:
        print(f"settings: {problem}", file=sys.stderr)
        sys.exit(78)
