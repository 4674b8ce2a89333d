"""Programs on a terminal: what they print there, and Ctrl-C.

on_terminal, OnTerminal.
"""

import os
import pty
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from support.commands import ROOT, clean_environment

CTRL_C = b"\x03"


class OnTerminal:
    """A running program whose standard streams are a terminal."""

    def __init__(self, process: subprocess.Popen[bytes], keyboard: int):
        self.process = process
        self.keyboard = keyboard

    def read_until(self, text: str) -> str:
        """Return the output up to and including `text`."""
        output = ""
        while text not in output:
            output += self._read()
        return output

    def press_ctrl_c(self) -> None:
        """Interrupt the program, as a person does."""
        os.write(self.keyboard, CTRL_C)

    def finish(self) -> tuple[int, str]:
        """Return the exit code and the rest of the output."""
        output = ""
        # Linux reports an error at the end of a terminal's output.
        with suppress(OSError):
            while True:
                output += self._read()
        return self.process.wait(30), output

    def _read(self) -> str:
        data = os.read(self.keyboard, 65536)
        if not data:
            raise OSError("the terminal is closed")
        return data.decode().replace("\r\n", "\n")


@contextmanager
def on_terminal(
    *command: object,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    stdin: int | None = None,
) -> Iterator[OnTerminal]:
    """Run a command on a terminal of its own; kill it at the end if it still runs."""
    keyboard, terminal = pty.openpty()
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        env=clean_environment(TERM="dumb", **(env or {})),
        stdin=terminal if stdin is None else stdin,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: _take_terminal(1),
    )
    os.close(terminal)
    try:
        yield OnTerminal(process, keyboard)
    finally:
        process.kill()
        process.wait()
        os.close(keyboard)


def _take_terminal(descriptor: int) -> None:
    """Make the terminal the session's own, so that Ctrl-C reaches the program."""
    # Opening a terminal makes it the controlling terminal of a session without one.
    os.close(os.open(os.ttyname(descriptor), os.O_RDWR))
