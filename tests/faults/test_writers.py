"""Trainers that are killed, run at once, or lack room, rights or memory: never a broken file, always a cause."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from conftest import ROOT, run
from support.figures import FULL, Figure, times

from utils.encode_decode import init_model

# A program that imports once and then forks a trainer for every try, kills it and looks at what is left.
# Its arguments: how often, when to kill (at any moment, or once the write has begun), ours or in place.
KILLED = """
import json, os, pickle, random, signal, sys, time
from collections import Counter
from pathlib import Path
from common_utils import train_utils
from runtime.message import Message
from sklearn.ensemble import RandomForestClassifier
from utils.encode_decode import ModelFileError, init_model
tries, moment, way = int(sys.argv[1]), sys.argv[2], sys.argv[3]
path, seen, random = Path("models/m.pkl"), Counter(), random.Random(0)
def train(seed):
    forest = RandomForestClassifier(n_estimators=20, n_jobs=1, random_state=seed)
    train_utils.train_model(Message(payload={"$ref": "data/t.csv", "model_name": "m"}), forest, "A test")
if way == "in place":
    contents = init_model("m")
    contents["model"] *= 5_000_000 // len(contents["model"])  # as large as the random forest
    def train(seed):
        with open(path, "wb") as file:
            pickle.dump(contents, file)
def whole():
    try:
        if way == "in place":
            return pickle.loads(path.read_bytes())["modelName"] == "m"
        return init_model("m")["modelName"] == "m"
    except (ModelFileError, EOFError, pickle.UnpicklingError):
        return False
def writes(names, size):
    return set(os.listdir("models")) - names or path.stat().st_size != size
def started(seed):
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        train(seed)
        os._exit(0)
    return child
begun = time.monotonic()
os.waitpid(started(0), 0)
longest = time.monotonic() - begun
for seed in range(1, tries + 1):
    names, old = set(os.listdir("models")), path.read_bytes()
    child = started(seed)
    if moment == "at any moment":
        time.sleep(random.uniform(0, longest))
    else:
        while not writes(names, len(old)) and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    seen["old" if path.read_bytes() == old else "new" if whole() else "broken"] += 1
    seen["leftovers"] += len(os.listdir("models")) > 1
train(0)
print(json.dumps({**seen, "files": os.listdir("models")}))
"""
# A trainer as in a container, that first limits itself: its arguments are Python to run before it trains.
LIMITED = """
import os, resource, sys
import runtime.train, logisticRegression.train, skl2onnx
exec(sys.argv[1])
sys.exit(runtime.train.main())
"""
IN_PLACE = """
import pickle, sys
exec(sys.argv[1])
pickle.dump(bytes(1_000_000), open("models/m.pkl", "wb"))
"""
STRANGER = "os.setgroups([]); os.setgid(12345); os.setuid(12345)"
ROOM = "resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"
# What the process has now, and so many bytes more.
MEMORY = """
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + {0}
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
"""
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """The working directory of a train container, with a table of 3,000 rows and a sound model m.

    Not pytest's own folder, which no other user may enter.
    """
    with TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        for folder in ("models", "data"):
            (directory / folder).mkdir()
        lines = (
            (ROOT / "data" / "adult_income-prepped.csv")
            .read_text()
            .splitlines(keepends=True)[:3001]
        )
        (directory / "data" / "t.csv").write_text("".join(lines))
        assert trained(directory, "pass").returncode == 0
        yield directory


@pytest.fixture
def project(base: Path) -> Iterator[Path]:
    """That directory for one test, which gets its model back."""
    models = base / "models"
    before = (models / "m.pkl").read_bytes()
    yield base
    shutil.rmtree(models)
    models.mkdir()
    (models / "m.pkl").write_bytes(before)


def variables() -> dict[str, str]:
    """What the train runner reads."""
    return {
        "TRAIN": "1",
        "TRAIN_MODULE": "logisticRegression.train",
        "TRAIN_FUNCTION": "train",
        "PAYLOAD": '{"$ref": "data/t.csv", "model_name": "m"}',
        "PYTHONPATH": f"{ROOT}:{ROOT / 'builders'}",
    }


def trained(project: Path, limits: str, code: str = LIMITED) -> subprocess.CompletedProcess[str]:
    """Trains under limits that the trainer sets itself."""
    return run(sys.executable, "-c", code, limits, cwd=project, env=variables(), seconds=120)


def killed(project: Path, tries: int, moment: str, way: str) -> dict[str, int]:
    """What is left of so many killed trainers; their last run must leave one file."""
    done = run(
        sys.executable, "-c", KILLED, tries, moment, way, cwd=project, env=variables(), seconds=7200
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("files") == ["m.pkl"]
    return found


@pytest.mark.parametrize(
    ("moment", "full", "quick"), [("at any moment", 200, 2), ("once it writes", 200, 3)]
)
def test_a_killed_trainer_leaves_the_old_file_or_a_whole_new_one(
    project: Path, figure: Figure, moment: str, full: int, quick: int
) -> None:
    tries = times(full, quick)
    found = killed(project, tries, moment, "ours")
    assert "broken" not in found and found.get("old", 0) + found.get("new", 0) == tries
    told = f"old file {found.get('old', 0)}, whole new one {found.get('new', 0)}, broken 0"
    control = "-"
    if moment == "once it writes":
        told += f"; {found['leftovers']} leftovers, gone after the next run"
        naive = killed(project, 50, moment, "in place")["broken"]
        assert naive > 0
        control = f"in place: {naive} of 50 broken"
    figure(f"a trainer killed {tries} times, {moment}", told, control)


def test_two_trainers_of_one_name_leave_one_whole_file(project: Path, figure: Figure) -> None:
    pairs = times(20, 1)
    for _ in range(pairs):
        command = [sys.executable, "-c", LIMITED, "pass"]
        both = [
            subprocess.Popen(command, cwd=project, env={**os.environ, **variables()})
            for _ in range(2)
        ]
        assert [trainer.wait(120) for trainer in both] == [0, 0]
        assert init_model("m", project / "models")["modelName"] == "m"
        assert os.listdir(project / "models") == ["m.pkl"]
    figure(f"two trainers of one name at once, {pairs} times", "one whole file, no leftover")


@pytest.fixture
def small(project: Path) -> Iterator[Path]:
    """The project with models/ on a file system of 16 KB; left out where none can be mounted."""
    models = project / "models"
    before = (models / "m.pkl").read_bytes()
    mounted = run("mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", models)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted: {mounted.stderr.strip()}")
    try:
        (models / "m.pkl").write_bytes(before[:4096])
        yield project
    finally:
        assert run("umount", models).returncode == 0


def test_a_full_disk_is_named_and_the_old_file_stays(small: Path, figure: Figure) -> None:
    before = (small / "models" / "m.pkl").read_bytes()
    done = trained(small, "pass")
    full = "train: [Errno 28] No space left on device: 'models/m.pkl'; make room, or mount another folder there\n"
    assert (done.returncode, done.stderr) == (74, full)
    assert (
        os.listdir(small / "models") == ["m.pkl"]
        and (small / "models" / "m.pkl").read_bytes() == before
    )
    assert trained(small, "pass", IN_PLACE).returncode == 1
    size = (small / "models" / "m.pkl").stat().st_size
    assert 0 < size < 1_000_000
    figure(
        "a full disk",
        "exit 74, old file whole, no leftover",
        f"in place: {size:,} of 1,000,000 bytes",
    )


def test_a_read_only_file_system_is_named(small: Path, figure: Figure) -> None:
    assert run("mount", "-o", "remount,ro", small / "models").returncode == 0
    done = trained(small, "pass")
    read_only = "train: [Errno 30] Read-only file system: 'models'; make room, or mount another folder there\n"
    assert (done.returncode, done.stdout, done.stderr) == (74, "", read_only)
    figure("a read-only file system", "exit 74 before the work")


@pytest.mark.parametrize("room", [0, 1, 4096, 10_000] if FULL else [4096])
def test_a_file_that_may_not_grow_is_named_and_the_old_one_stays(project: Path, room: int) -> None:
    before = (project / "models" / "m.pkl").read_bytes()
    done = trained(project, ROOM.format(room))
    assert (done.returncode, done.stderr.startswith("train: [Errno 27] File too large: ")) == (
        74,
        True,
    ), done.stderr
    assert os.listdir(project / "models") == ["m.pkl"]
    assert (project / "models" / "m.pkl").read_bytes() == before
    trained(project, f"import resource; {ROOM.format(room)}", IN_PLACE)
    assert (project / "models" / "m.pkl").stat().st_size == room  # what writing in place leaves


@needs_root
@pytest.mark.parametrize(
    ("mode", "path"),
    [(0o755, "models"), (0o1777, "models/m.pkl")],
    ids=["another's folder", "another's file, sticky"],
)
def test_what_another_owns_is_named_and_stays(
    project: Path, figure: Figure, mode: int, path: str
) -> None:
    (project / "models").chmod(mode)
    before = (project / "models" / "m.pkl").read_bytes()
    done = trained(project, STRANGER)
    expected = rf"train: {path}: (Permission denied|Operation not permitted) for user 12345:12345; give the folder to .*\n"
    assert done.returncode == 77 and re.fullmatch(expected, done.stderr), done.stderr
    assert os.listdir(project / "models") == ["m.pkl"]
    assert (project / "models" / "m.pkl").read_bytes() == before
    figure(f"models/ of another owner, mode {mode:o}", "exit 77, old file whole, no leftover")


def test_a_lack_of_memory_is_named_and_the_old_file_stays(project: Path, figure: Figure) -> None:
    path = project / "data" / "t.csv"
    path.write_text((ROOT / "data" / "adult_income-prepped.csv").read_text())
    seen = []
    for megabytes in range(10, 70, 5) if FULL else [10, 45]:
        before = (project / "models" / "m.pkl").read_bytes()
        done = trained(project, MEMORY.format(megabytes << 20))
        seen.append(done.returncode)
        if done.returncode:
            pattern = r"train: out of memory \([^\n]*\n?\); give it more, or fewer rows\n"
            assert done.returncode == 71 and re.fullmatch(pattern, done.stderr), done.stderr
            assert (project / "models" / "m.pkl").read_bytes() == before
        assert os.listdir(project / "models") == ["m.pkl"] and init_model("m", project / "models")
    assert 71 in seen
    told = f"{seen.count(71)} end with 71 and the cause, {seen.count(0)} train; no broken file"
    figure(f"trainings with too little memory: {len(seen)}", told)
