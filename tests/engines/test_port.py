"""engines/port.py: whether a program can listen on a port."""

import socket
import sys

import pytest
from support.commands import ROOT, Completed, run
from support.network import free_port


def port(*arguments: str) -> Completed:
    """Run port.py."""
    return run(sys.executable, ROOT / "engines/port.py", *arguments)


def test_a_free_port_is_free() -> None:
    done = port(str(free_port()))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_in_use_is_reported_with_the_next_step(host: str) -> None:
    with socket.create_server((host, 0)) as taken:
        number = taken.getsockname()[1]
        done = port(str(number))
    assert done.returncode == 69
    assert done.stderr == (
        f"PORT={number}: Address already in use. Stop the other program, or set another PORT.\n"
    )


@pytest.mark.parametrize(
    "text", ["", "x", "0", "65536", "-1", "1.0", " 80", "²", "٣", "1" * 50, "$(id)", "80\n"]
)
def test_a_text_that_is_no_port_is_named(text: str) -> None:
    done = port(text)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"PORT={text}: expected a whole number from 1 to 65535\n"


def test_without_a_port_it_prints_its_usage() -> None:
    done = port()
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "Usage: port.py PORT" in done.stderr
