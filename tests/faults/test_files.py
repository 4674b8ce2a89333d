"""Model files that are missing or bad: the server is up, reports it and recovers."""

import os
import shutil
import stat
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from support.apps.naive import FILE as NAIVE_FILE
from support.commands import WITHOUT_CAPABILITIES, needs_setpriv, wait_until
from support.fault_servers import models_folder, naive_server, versions_server, write_naive_model
from support.figures import Figure, times
from support.models import (
    MODEL_DIRS,
    example_body,
    instances_body,
    object_row,
    replace_model_file,
)
from support.server import Server

ROUNDS = times(5, 1)
BODY = example_body(MODEL_DIRS[0])
GOOD = ("m8", "m9")


class BadFile(NamedTuple):
    """A function that creates a bad file, and the server's reason to reject it."""

    create: Callable[[Path], object]
    reason: str


def outside(file: Path) -> Path:
    """Return a good model file outside models/."""
    return file.parent.parent / "good"


def link_outside(file: Path) -> None:
    """Create a link to a good file at the path."""
    file.symlink_to(outside(file))


def leave_missing(file: Path) -> None:
    """Leave no file."""


def copy_unreadable(file: Path) -> None:
    """Create a good file at the path that no user may read."""
    shutil.copy(outside(file), file)
    file.chmod(0)


def create_huge(file: Path) -> None:
    """Create a sparse file of 2 GB at the path."""
    file.touch()
    os.truncate(file, 2 << 30)


CASES = {
    "missing": BadFile(leave_missing, "no such file. Train the model first"),
    "a directory": BadFile(os.mkdir, "is not a regular file"),
    "a FIFO": BadFile(os.mkfifo, "is not a regular file"),
    "a link out of models/": BadFile(link_outside, "can't be opened"),
    "a link to a device": BadFile(lambda file: file.symlink_to("/dev/zero"), "can't be opened"),
    "unreadable": BadFile(copy_unreadable, "Permission denied"),
    "empty": BadFile(Path.touch, "is not a model file"),
    "of 2 GB": BadFile(create_huge, "At most 1,073,741,824 are read"),
}
BAD = {f"m{number}": case for number, case in enumerate(CASES.values())}
ALL_GOOD = dict.fromkeys([*BAD, *GOOD], 200)
ONLY_GOOD = {**dict.fromkeys(BAD, 503), **dict.fromkeys(GOOD, 200)}


@pytest.fixture
def directory(trained: Path, tmp_path: Path) -> Path:
    """A folder with ten good models; one of them is also outside models/."""
    models_folder(trained, tmp_path, *BAD, *GOOD)
    shutil.copy(tmp_path / "models/m0.pkl", tmp_path / "good")
    return tmp_path


def remove(file: Path) -> None:
    """Remove a file, a folder, or nothing."""
    if file.is_dir() and not file.is_symlink():
        file.rmdir()
    else:
        file.unlink(missing_ok=True)


def put_bad_files(directory: Path) -> dict[str, bytes]:
    """Replace all model files except two by bad files; return the good files."""
    contents = {}
    for name, case in BAD.items():
        file = directory / "models" / f"{name}.pkl"
        contents[name] = file.read_bytes()
        file.unlink()
        case.create(file)
    return contents


def put_good_files(directory: Path, contents: dict[str, bytes]) -> None:
    """Restore the good files."""
    for name, content in contents.items():
        file = directory / "models" / f"{name}.pkl"
        remove(file)
        replace_model_file(file, content)


def statuses(server: Server) -> dict[str, int]:
    """Return each route's status."""
    return {name: server.post(f"/{name}", BODY).status_code for name in (*BAD, *GOOD)}


def check_bad_files_are_named(server: Server) -> None:
    """Check that /ready reports each bad file with its reason, and other routes work."""
    wait_until(lambda: server.status("/health") == 200, 20)
    ready = server.get("/ready")
    assert ready.status_code == 503
    assert statuses(server) == ONLY_GOOD

    message = ready.json()["error"]["message"]
    named = {part.split(": ", 1)[0].strip("/") for part in message.split("; /")}
    assert named == set(BAD)
    for case in BAD.values():
        assert case.reason in message


def check_good_models_stay(server: Server, directory: Path) -> None:
    """Check that the last good models stay in service after their files become bad."""
    length = len(server.output)
    put_bad_files(directory)
    wait_until(lambda: all(f"predict: /{name}: " in server.output[length:] for name in BAD), 20)
    assert server.status() == 200
    assert statuses(server) == ALL_GOOD

    metrics = server.metrics()
    names = [*BAD, *GOOD]
    with_problem = {name for name in names if metrics["predict_model_problem", f"/{name}"]}
    assert with_problem == set(BAD)


def seconds_to_recover(directory: Path) -> float:
    """Start with bad files, replace them by good files, then by bad files again.

    Returns the seconds from the good files until the server is ready.
    """
    contents = put_bad_files(directory)
    with versions_server(directory, *BAD, *GOOD, prefix=WITHOUT_CAPABILITIES) as server:
        check_bad_files_are_named(server)

        put_good_files(directory, contents)
        started = time.monotonic()
        wait_until(lambda: server.status() == 200, 20)
        seconds = time.monotonic() - started

        check_good_models_stay(server, directory)
    put_good_files(directory, contents)
    return seconds


@needs_setpriv
def test_bad_files_leave_the_server_up_and_good_ones_are_picked_up(
    directory: Path, figure: Figure
) -> None:
    seconds = [seconds_to_recover(directory) for _ in range(ROUNDS)]
    figure(
        f"no good file at the start ({', '.join(CASES)}), then one, then none; {ROUNDS} times",
        f"503 by name, other routes 200; served after {statistics.median(seconds):.1f} s, "
        f"at most {max(seconds):.1f} s; then the last good one stays",
        naive_handler(directory),
    )
    assert max(seconds) < 10


def naive_handler(directory: Path) -> str:
    """Run the same test with a handler that opens the file for each request.

    This handler blocks on a FIFO, follows a link, and answers 500 without a file.
    """
    file = directory / NAIVE_FILE
    write_naive_model(directory)
    file.rename(directory / "elsewhere")
    body = instances_body([object_row(MODEL_DIRS[0])])

    with naive_server(directory, "document") as server:
        wait_until(lambda: server.status("/predict") == 405, 60)
        assert server.post("/predict", body).status_code == 500

        file.symlink_to(directory / "elsewhere")
        assert server.post("/predict", body).status_code == 200

        file.unlink()
        os.mkfifo(file)
        with pytest.raises(requests.ReadTimeout):
            server.request("POST", "/predict", body, seconds=2)

    assert stat.S_ISFIFO(file.stat().st_mode)
    return "a pickle opened for each request: 500 without it, a link followed, no answer at a FIFO"
