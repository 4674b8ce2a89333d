"""engines/show_log.py: the log as text on a terminal, unchanged otherwise."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import ROOT, Completed, clean_environment
from support.terminal import on_terminal

PROGRAM = ROOT / "engines/show_log.py"
EVENT = {
    "time": "2026-11-24T10:11:12.345+00:00",
    "level": "info",
    "event": "ready",
    "message": "Answering POST http://127.0.0.1:5111/a",
    "process": 12,
    "route": "/a",
}
FAILURE = {
    **EVENT,
    "level": "error",
    "message": "POST /a 500 in 1 ms",
    "traceback": "Traceback (most recent call last):\nValueError: é\n",
}
OTHERS = [
    "not JSON",
    "",
    "---> Starting 1 worker",
    "[1, 2]",
    '{"level": "info", "message": "without a time"}',
    "{" * 9,
    "1" * 5_000,
]


def show(text: str | bytes, **variables: str) -> Completed:
    """Run the program without a terminal, in a time zone that differs from UTC."""
    data = text if isinstance(text, bytes) else text.encode()
    done = subprocess.run(
        [sys.executable, PROGRAM],
        input=data,
        env=clean_environment(TZ="ABC-2", **variables),
        capture_output=True,
        timeout=30,
    )
    output = done.stdout.decode(errors="surrogateescape")
    return subprocess.CompletedProcess([], done.returncode, output, done.stderr.decode())


def test_events_are_text_on_a_terminal(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"{json.dumps(EVENT)}\n{json.dumps(FAILURE)}\n")
    with (
        log.open() as stdin,
        on_terminal(sys.executable, PROGRAM, env={"TZ": "ABC-2"}, stdin=stdin.fileno()) as program,
    ):
        assert program.finish() == (
            0,
            "12:11:12 info: Answering POST http://127.0.0.1:5111/a\n"
            "Traceback (most recent call last):\nValueError: é\n"
            "12:11:12 error: POST /a 500 in 1 ms\n",
        )


def test_log_is_unchanged_without_a_terminal() -> None:
    text = f"{json.dumps(EVENT)}\n" + "".join(f"{line}\n" for line in OTHERS)
    done = show(text)
    assert (done.returncode, done.stdout, done.stderr) == (0, text, "")


@pytest.mark.parametrize(
    ("log_format", "expected"),
    [
        ("text", "12:11:12 info: Answering POST http://127.0.0.1:5111/a"),
        ("json", json.dumps(EVENT)),
    ],
)
def test_log_format_selects_the_form(log_format: str, expected: str) -> None:
    done = show(f"{json.dumps(EVENT)}\n", LOG_FORMAT=log_format)
    assert done.stdout == f"{expected}\n"


def test_lines_that_are_not_events_are_unchanged_as_text() -> None:
    text = "".join(f"{line}\n" for line in OTHERS)
    assert show(text, LOG_FORMAT="text").stdout == text


@pytest.mark.parametrize("value", ["soon", 5, None, "2026-13-45"])
def test_time_that_is_not_a_time_is_shown_as_it_is(value: object) -> None:
    done = show(json.dumps({**EVENT, "time": value}), LOG_FORMAT="text")
    assert done.stdout == f"{value} info: {EVENT['message']}\n"


def test_escape_sequences_do_not_reach_the_terminal() -> None:
    done = show(json.dumps({**EVENT, "message": "a\x1b[2Jb\x9bc\rd"}), LOG_FORMAT="text")
    assert done.stdout == "12:11:12 info: a\\x1b[2Jb\\x9bc\\x0dd\n"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_bytes_that_are_not_text_and_lone_surrogates_are_no_error(log_format: str) -> None:
    lone = json.dumps({**EVENT, "message": "\ud800"})
    done = show(b"\xff\xfe\n" + lone.encode() + b"\n", LOG_FORMAT=log_format)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("\udcff\udcfe\n")


def test_closed_output_ends_the_program_without_a_traceback(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("a line\n" * 100_000)
    script = '"$0" "$1" <"$2" | head -1'
    command = ["bash", "-o", "pipefail", "-c", script, sys.executable, str(PROGRAM), str(log)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGPIPE, "a line\n", "")
