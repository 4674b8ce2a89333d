"""The table of the predict server's settings: names, defaults, limits and help.

Usage: python3 -m runtime.settings names     variables that the engines pass to a container
       python3 -m runtime.settings files     settings that name a file to be mounted
       python3 -m runtime.settings table     the table in docs/serving.md

The engines run this module on the host. It uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from runtime.threads import THREAD_VARIABLES, cpu_limit

# Each worker has a slot of shared counters (metrics.py), which are allocated at start-up.
MAX_WORKERS = 64
# This number means "no limit" and fits into 64 bits.
UNLIMITED = 1 << 40
# The engine sets these, because it chooses the address of the server on the host.
SET_BY_ENGINE = ("HOST", "PORT", "PUBLIC_URL")


class ConfigurationError(Exception):
    """An invalid `.s2i/environment` or variable.

    The message names the problem and where it is.
    """


@dataclass(frozen=True)
class Setting:
    """One environment variable that the server reads.

    A setting with a `minimum` is a whole number. `default_text` describes the default.
    """

    name: str
    help: str
    default: int | str = ""
    default_text: str = ""
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    is_file: bool = False

    def value(self, variables: Mapping[str, str]) -> int | str:
        """Return the value in `variables`, or the default if it is unset or empty.

        Raises ConfigurationError for a value that is outside the limits.
        """
        text = variables.get(self.name, "")
        if not text:
            return self.default
        if self.minimum is not None and self.maximum is not None:
            return self._number(text, self.minimum, self.maximum)
        if not self.choices:
            return text
        if text.lower() not in self.choices:
            raise ConfigurationError(f"{self.name}={text}: expected {' or '.join(self.choices)}")
        return text.lower()

    def _number(self, text: str, minimum: int, maximum: int) -> int:
        # int() alone also accepts blanks, signs and digits of other scripts, and is slow for long
        # texts.
        is_number = text.isascii() and text.isdigit() and len(text) <= 15
        if not is_number or not minimum <= int(text) <= maximum:
            expected = f"expected a whole number from {minimum} to {maximum}"
            raise ConfigurationError(f"{self.name}={text}: {expected}")
        return int(text)


def default_workers(limit: float) -> int:
    """Return the number of workers for a CPU limit, which is infinity without a limit."""
    if math.isinf(limit):
        return 1
    return max(1, int(limit))


SETTINGS = (
    Setting("PORT", "Port that the server listens on", 5000, minimum=1, maximum=65535),
    Setting("HOST", "Address that the server listens on; `::` means IPv6 and IPv4", "0.0.0.0"),
    Setting(
        "PUBLIC_URL",
        "Address that the log shows for the routes",
        default_text="HOST and PORT",
    ),
    Setting(
        "WORKERS",
        "Worker processes",
        default_text="CPU limit of the container; 1 without a limit",
        minimum=1,
        maximum=MAX_WORKERS,
    ),
    Setting(
        "PRELOAD",
        "`1` imports the application in the parent process, and workers share its memory; `0` "
        "imports it in each worker; `auto` chooses (architecture.md)",
        "auto",
        choices=("auto", "1", "0"),
    ),
    Setting(
        "DRAIN_SECONDS",
        "Seconds that the server keeps accepting requests after SIGTERM",
        1,
        minimum=0,
        maximum=600,
    ),
    Setting(
        "MAX_BODY_BYTES",
        "Largest request body in bytes; a larger one gets 413",
        16 << 20,
        default_text="16 MiB",
        minimum=1,
        maximum=UNLIMITED,
    ),
    Setting(
        "MAX_ROWS",
        "Maximum rows in a request; a request with more rows gets 413 (`too_many_rows`)",
        100_000,
        minimum=1,
        maximum=UNLIMITED,
    ),
    Setting(
        "MAX_WAITING",
        "Maximum requests per worker, running and queued; further ones get 503 (`overloaded`)",
        100,
        minimum=1,
        maximum=UNLIMITED,
    ),
    Setting(
        "BODY_SECONDS",
        "Seconds to receive a request body; then the request gets 408",
        10,
        minimum=1,
        maximum=3600,
    ),
    Setting(
        "HEADER_SECONDS",
        "Seconds to receive the request headers; then the connection is closed",
        10,
        minimum=1,
        maximum=3600,
    ),
    Setting(
        "FUNCTION_SECONDS",
        "Seconds that a predict function may run; then the request gets 504; 0 means no limit",
        60,
        minimum=0,
        maximum=86_400,
    ),
    Setting(
        "API_KEY_FILE",
        "File of API keys, one per line (operations.md)",
        default_text="none",
        is_file=True,
    ),
    Setting("ACCESS_LOG", "1 logs every request", 0, minimum=0, maximum=1),
    Setting(
        "LOG_FORMAT",
        "Format of the log (operations.md)",
        default_text="json; text on a terminal",
        choices=("json", "text"),
    ),
    Setting(
        "LOG_LEVEL",
        "Lowest level of the application's messages (operations.md)",
        "warning",
        choices=("debug", "info", "warning", "error", "critical"),
    ),
    # utils/serving.py and utils/signing.py read these two.
    Setting(
        "UNKNOWN",
        "`ignore` accepts unknown categories and encodes them as zeros",
        default_text="none",
    ),
    Setting(
        "MODEL_HMAC_KEY_FILE",
        "File of keys that sign model files (model-files.md)",
        default_text="none",
        is_file=True,
    ),
)


class Settings(NamedTuple):
    """The checked settings of one server; times are in seconds."""

    host: str
    port: int
    public_url: str
    workers: int
    preload: str
    drain_seconds: int
    max_body_bytes: int
    max_rows: int
    max_waiting: int
    body_seconds: int
    header_seconds: int
    function_seconds: int
    access_log: bool
    api_key_file: str


def read_settings(variables: Mapping[str, str]) -> Settings:
    """Return the settings in `variables`.

    Raises ConfigurationError for an invalid setting.
    """
    values = {setting.name: setting.value(variables) for setting in SETTINGS}
    # An address of IPv6 may have the brackets that it needs in a URL.
    host = str(values["HOST"]).strip("[]")
    port = int(values["PORT"])
    return Settings(
        host=host,
        port=port,
        public_url=str(values["PUBLIC_URL"]) or f"http://{join_address(host, port)}",
        workers=int(values["WORKERS"] or default_workers(cpu_limit())),
        preload=str(values["PRELOAD"]),
        drain_seconds=int(values["DRAIN_SECONDS"]),
        max_body_bytes=int(values["MAX_BODY_BYTES"]),
        max_rows=int(values["MAX_ROWS"]),
        max_waiting=int(values["MAX_WAITING"]),
        body_seconds=int(values["BODY_SECONDS"]),
        header_seconds=int(values["HEADER_SECONDS"]),
        function_seconds=int(values["FUNCTION_SECONDS"]),
        access_log=bool(values["ACCESS_LOG"]),
        api_key_file=str(values["API_KEY_FILE"]),
    )


def join_address(host: str, port: int) -> str:
    """Return HOST:PORT, or [HOST]:PORT for an address of IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def markdown_table() -> str:
    """Return the settings as a Markdown table."""
    lines = ["| variable | default | limits | what it sets |", "|---|---|---|---|"]
    for setting in SETTINGS:
        default = setting.default_text or str(setting.default)
        lines.append(f"| {setting.name} | {default} | {_limits(setting)} | {setting.help} |")
    return "\n".join(lines)


def _limits(setting: Setting) -> str:
    if setting.choices:
        return " or ".join(setting.choices)
    if setting.minimum is None:
        return ""
    if setting.maximum == UNLIMITED:
        return f"at least {setting.minimum}"
    return f"{setting.minimum} to {setting.maximum}"


def main(arguments: list[str]) -> int:
    """Print one of the lists in this module's docstring and return the exit code."""
    if arguments == ["names"]:
        names = [setting.name for setting in SETTINGS if not setting.is_file]
        passed = [name for name in names if name not in SET_BY_ENGINE]
        print("\n".join([*passed, *THREAD_VARIABLES]))
    elif arguments == ["files"]:
        print("\n".join(setting.name for setting in SETTINGS if setting.is_file))
    elif arguments == ["table"]:
        print(markdown_table())
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
