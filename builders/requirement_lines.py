"""Split the lines of a requirements file as pip does.

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import optparse
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import NoReturn

COMMENT = re.compile(r"(^|\s+)#.*$")
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
VALUES = (
    ("-r", "--requirement"),
    ("-c", "--constraint"),
    ("-e", "--editable"),
    ("-f", "--find-links"),
    ("-i", "--index-url", "--pypi-url"),
    ("--extra-index-url",),
    ("--no-binary",),
    ("--only-binary",),
    ("--trusted-host",),
    ("--use-feature",),
    ("--hash",),
    ("--config-settings",),
    ("--global-option",),
)
FLAGS = ("--no-index", "--prefer-binary", "--pre", "--require-hashes")
# uv does not read these options in a file, or not as pip does. It gets them as arguments.
OF_THE_FILE = {"pre", "require-hashes", "trusted-host", "index-url"}
UNSUPPORTED = {
    "editable": "An editable package needs a fixed path, but a build has none. Remove -e.",
    "config-settings": "The build does not support this option. Use a wheel of the package.",
    "global-option": "The build does not support this option. Use a wheel of the package.",
}


class Parser(optparse.OptionParser):
    """pip's options in requirements files; an invalid option raises ValueError."""

    def error(self, msg: str) -> NoReturn:
        """Raise ValueError; optparse calls it for an invalid option."""
        raise ValueError(f"{msg}.")


def make_parser() -> Parser:
    """Return a parser of the options that pip allows in requirements files."""
    parser = Parser(add_help_option=False)
    for names in VALUES:
        name = names[1] if len(names) > 1 else names[0]
        parser.add_option(*names, action="append", dest=name[2:])
    for flag in FLAGS:
        parser.add_option(flag, action="append_const", const="1", dest=flag[2:])
    return parser


PARSER = make_parser()


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that is not empty.

    A line that ends with a backslash continues in the next line. A comment ends such a line.
    """
    parts: list[str] = []
    first = 1
    for number, line in enumerate(text.splitlines(), 1):
        if not parts:
            first = number
        is_comment = COMMENT.match(line)
        if line.endswith("\\") and not is_comment:
            parts.append(line.strip("\\"))
            continue
        # The blank keeps the comment apart from the line that it ends.
        parts.append(f" {line}" if is_comment else line)
        joined = COMMENT.sub("", "".join(parts)).strip()
        parts = []
        if joined:
            yield first, joined
    rest = COMMENT.sub("", "".join(parts)).strip()
    if rest:
        yield first, rest


def split_line(line: str, variables: Mapping[str, str]) -> tuple[str, dict[str, list[str]]]:
    """Return the requirement of a line, or an empty text, and its options.

    Raises ValueError for an unknown option, or a variable ${NAME} that is not set.
    """
    for name in VARIABLE.findall(line):
        if not variables.get(name):
            raise ValueError(f"the variable {name} is not set in the build. Write its value here.")
    words = VARIABLE.sub(lambda found: variables[found.group(1)], line).split(" ")
    count = 0
    while count < len(words) and not words[count].startswith("-"):
        count += 1
    requirement = " ".join(words[:count]).strip()
    options = parse_options(" ".join(words[count:]))

    for name, advice in UNSUPPORTED.items():
        if name in options:
            raise ValueError(f"--{name}: {advice}")
    others = sorted(set(options) - {"hash"})
    if requirement and others:
        raise ValueError(f"--{others[0]} needs a line of its own.")
    return requirement, options


def parse_options(text: str) -> dict[str, list[str]]:
    """Return the options of a line, by their long names without the dashes.

    Raises ValueError for an option that pip does not allow here.
    """
    values, words = PARSER.parse_args(shlex.split(text))
    if words:
        raise ValueError(f"{words[0]!r} is neither a requirement nor an option.")
    return {name: value for name, value in vars(values).items() if value}
