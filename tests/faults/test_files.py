"""A model file that isn't there, or isn't one: the server is up, says so, answers its other routes, and picks it up."""

import json
import os
import shutil
import stat
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from clients import INSTANCES, Application, Naive, put, variants
from conftest import ROOT
from naive import FILE, train
from support.daemon import Daemon, until
from support.figures import Figure, times
from test_serve import HELD

ROUNDS = times(5, 1)
CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda file: None, "no such file; train the model first"),
    "a directory": (os.mkdir, "is not a regular file"),
    "a FIFO": (os.mkfifo, "is not a regular file"),
    "a link out of models/": (
        lambda file: file.symlink_to(file.parent.parent / "good"),
        "can't be opened",
    ),
    "a link to a device": (lambda file: file.symlink_to("/dev/zero"), "can't be opened"),
    "unreadable": (
        lambda file: (shutil.copy(file.parent.parent / "good", file), file.chmod(0)),
        "Permission denied",
    ),
    "empty": (lambda file: file.touch(), "is not a model file"),
    "of 2 GB": (
        lambda file: (file.touch(), os.truncate(file, 2 << 30)),
        "at most 1,073,741,824 are read",
    ),
}


GOOD = ("m8", "m9")
BAD = {f"m{i}": case for i, case in enumerate(CASES.values())}


@pytest.fixture
def directory(trained: Path, tmp_path: Path) -> Path:
    """Ten good models, one of them outside models/ too."""
    (tmp_path / "models").mkdir()
    for name in (*BAD, *GOOD):
        variants(trained, tmp_path, name)
    shutil.copy(tmp_path / "models/m0.pkl", tmp_path / "good")
    return tmp_path


def remove(file: Path) -> None:
    """Removes whatever there is."""
    if file.is_dir() and not file.is_symlink():
        file.rmdir()
    else:
        file.unlink(missing_ok=True)


def spoil(directory: Path) -> dict[str, bytes]:
    """Puts what isn't a model where all but two models were; gives what these were."""
    contents = {}
    for name, (make, _) in BAD.items():
        file = directory / "models" / f"{name}.pkl"
        contents[name] = file.read_bytes()
        file.unlink()
        make(file)
    return contents


def mend(directory: Path, contents: dict[str, bytes]) -> float:
    """Puts the good files back, and returns when."""
    for name, content in contents.items():
        remove(directory / "models" / f"{name}.pkl")
        put(directory, name, content)
    return time.monotonic()


def statuses(daemon: Daemon) -> dict[str, int]:
    """What each route answers."""
    return {name: daemon.ask("POST", f"/{name}", INSTANCES).status for name in (*BAD, *GOOD)}


def picked_up(directory: Path) -> float:
    """Starts without good files, puts them there; seconds until all are served. Then takes them away again."""
    contents = spoil(directory)
    with Application(directory, *BAD, *GOOD, prefix=HELD) as daemon:
        until(lambda: daemon.status("/health") == 200, 20)
        ready = daemon.ask("GET", "/ready")
        assert (ready.status, statuses(daemon)) == (
            503,
            dict.fromkeys(BAD, 503) | dict.fromkeys(GOOD, 200),
        )
        reasons = dict(part.split(": ", 1) for part in ready.json["error"]["message"].split("; /"))
        assert all(reason in ready.json["error"]["message"] for _, reason in BAD.values())
        assert {name.strip("/") for name in reasons} == set(BAD)
        began = mend(directory, contents)
        until(lambda: daemon.status() == 200, 20)
        seconds = time.monotonic() - began
        said = len(daemon.said)
        spoil(directory)
        until(lambda: all(f"predict: /{name}: " in daemon.said[said:] for name in BAD), 20)
        assert (daemon.status(), set(statuses(daemon).values())) == (200, {200})
        samples = daemon.samples()
        assert {
            name for name in (*BAD, *GOOD) if samples["predict_model_problem", f"/{name}"]
        } == set(BAD)
    mend(directory, contents)
    return seconds


def test_bad_files_leave_the_server_up_and_good_ones_are_picked_up(
    directory: Path, figure: Figure
) -> None:
    seconds = [picked_up(directory) for _ in range(ROUNDS)]
    figure(
        f"no good file at the start ({', '.join(CASES)}), then one, then none; {ROUNDS} times",
        f"503 by name, other routes 200; served after {statistics.median(seconds):.1f} s, at most {max(seconds):.1f} s;"
        " then the last good one stays",
        opened_by_a_handler(directory),
    )
    assert max(seconds) < 10


def opened_by_a_handler(directory: Path) -> str:
    """The control: a handler that opens the file waits at a FIFO, follows a link, and answers 500 without a file."""
    (directory / "data").symlink_to(ROOT / "data")
    (directory / "elsewhere").write_bytes(train())
    row = next(
        row for row in json.loads(INSTANCES)["payload"]["instances"] if isinstance(row, dict)
    )
    body = json.dumps({"payload": {"instances": [row]}}).encode()
    file = directory / FILE
    with Naive(directory, "document") as daemon:
        until(lambda: daemon.status("/predict") == 405, 60)
        missing = daemon.ask("POST", "/predict", body).status
        file.symlink_to(directory / "elsewhere")
        linked = daemon.ask("POST", "/predict", body).status
        file.unlink()
        os.mkfifo(file)
        connection = daemon.connect()
        connection.timeout = 2
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        with pytest.raises(TimeoutError):
            connection.getresponse()
        connection.close()
    assert (missing, linked, stat.S_ISFIFO(file.stat().st_mode)) == (500, 200, True)
    return "a pickle opened for each request: 500 without it, a link followed, no answer at a FIFO"
