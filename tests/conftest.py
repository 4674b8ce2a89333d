"""What the tests share: the repository's root, commands, trained models, clones, the Docker engine."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import pytest

pytest_plugins = ["support.figures"]
ROOT = Path(__file__).resolve().parent.parent
MODEL_DIRS = sorted(path.parent.name for path in ROOT.glob("*/train.py"))
Completed = subprocess.CompletedProcess[str]
Run = Callable[..., Completed]
# What a developer's shell may hold and a test must not depend on.
PUBLIC = (
    *(
        "ENGINE",
        "PORT",
        "PAYLOAD",
        "DETACH",
        "SETUP",
        "UNKNOWN",
        "WORKERS",
        "MODEL_NAME",
        "MODElNAME",
        "ROUTES",
    ),
    *("API_KEY_FILE", "ACCESS_LOG", "LOG_FORMAT"),
)


def run(
    *command: str | Path,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    seconds: float = 600,
) -> subprocess.CompletedProcess[str]:
    """Runs a command without a terminal and returns its exit code and texts, whatever they are."""
    clean = {
        key: value
        for key, value in os.environ.items()
        if key not in PUBLIC and not key.startswith("MAKE")
    }
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**clean, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )


def setting(directory: str, name: str) -> str:
    """What a model's Makefile sets `name` to."""
    lines = (ROOT / directory / "Makefile").read_text().splitlines()
    return next(line.partition(":=")[2].strip() for line in lines if line.startswith(f"{name} "))


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_clone(parent: Path, name: str = 'a clone\'s "copy"') -> Path:
    """A copy of the repository's files as git has them, under a name with spaces and quotes.

    Wheels and environments are the checkout's own: they are named after their contents, and take minutes to make.
    """
    clone = parent / name
    listed = run(
        "git", "ls-files", "--cached", "--others", "--exclude-standard"
    ).stdout.splitlines()
    for file in filter(lambda file: (ROOT / file).exists(), listed):
        (clone / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, clone / file)
    (clone / ".local").mkdir()
    for shared in ("cache", "environments"):
        (ROOT / ".local" / shared).mkdir(parents=True, exist_ok=True)
        (clone / ".local" / shared).symlink_to(ROOT / ".local" / shared)
    return clone


def wheel(directory: Path, name: str, version: str = "1.0", needs: str = "") -> str:
    """Makes a wheel of a module NAME in `directory` and returns its sha256."""
    directory.mkdir(exist_ok=True)
    path = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + (
        f"Requires-Dist: {needs}\n" if needs else ""
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{info}/RECORD", "")
    return sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of the repository for one test, see make_clone."""
    return make_clone(tmp_path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with data/ and with models/ that hold every model, trained by its own train function."""
    directory = tmp_path_factory.mktemp("trained")
    (directory / "models").mkdir()
    (directory / "data").symlink_to(ROOT / "data")
    for model in MODEL_DIRS:
        done = train(directory, model)
        assert done.returncode == 0, done.stderr
    yield directory


def train(directory: Path, model: str, **payload: object) -> subprocess.CompletedProcess[str]:
    """Trains a model directory's model in `directory`, through the train runner, as a container would."""

    message = {
        "$ref": setting(model, "DATASET_NAME"),
        "model_name": setting(model, "MODEL_NAME"),
        **payload,
    }
    variables = {
        "TRAIN": "1",
        "TRAIN_MODULE": f"{model}.train",
        "TRAIN_FUNCTION": "train",
        "PAYLOAD": json.dumps(message),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'builders'}",
        "SOURCE_DATE_EPOCH": "0",
    }
    return run(sys.executable, "-m", "runtime.train", cwd=directory, env=variables)


def docker_problem() -> str:
    """Why the docker engine can't be used; empty if it can."""
    return run("bash", "-c", ". engines/choose.sh; docker_problem").stdout.strip()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out the container tests where there is no Docker engine or s2i, with the reason."""
    marked = [item for item in items if item.get_closest_marker("docker")]
    problem = docker_problem() if marked else ""
    for item in marked if problem else []:
        item.add_marker(pytest.mark.skip(reason=problem))


def make(
    clone: Path, directory: str, *targets: str, engine: str = "docker", **variables: object
) -> Completed:
    """Runs make in a directory of a clone, under one engine, with variables from the environment."""
    text = {name: str(value) for name, value in variables.items()}
    return run(
        "make",
        "--no-print-directory",
        "-C",
        clone / directory,
        *targets,
        env={"ENGINE": engine, **text},
    )


def image_of(clone: Path, directory: str, role: str) -> str:
    """What make calls an image of a model directory in this clone."""
    lines = (clone / directory / "Makefile").read_text().splitlines()
    name = next(line.split()[-1] for line in lines if line.startswith("CONTAINER_NAME"))
    return f"{name}-{role}"


def make_docker_clone(parent: Path, prefix: str) -> Path:
    """A clone whose images' names begin with `prefix`, so that they are nobody else's; builder images made anew."""
    clone = make_clone(parent)
    if (ROOT / "tools/bin").exists():
        (clone / "tools/bin").symlink_to(ROOT / "tools/bin")
    for makefile in clone.glob("*/Makefile"):
        makefile.write_text(
            makefile.read_text().replace("CONTAINER_NAME := ", f"CONTAINER_NAME := {prefix}-")
        )
    made = make(clone, ".", "builders")
    assert made.returncode == 0, made.stderr
    return clone


def remove_images(prefix: str) -> None:
    """Removes containers and images whose names begin with `prefix`, and what later builds have made nameless."""
    run(
        "docker",
        "rm",
        "--force",
        *run("docker", "ps", "-aq", "--filter", f"name=^{prefix}-").stdout.split(),
    )
    for name in run(
        "docker", "images", "--format", "{{.Repository}}", f"{prefix}-*"
    ).stdout.split():
        label = f"label=io.k8s.display-name={name}"
        run("docker", "rmi", name)
        run(
            "docker",
            "rmi",
            *run(
                "docker", "images", "-q", "--filter", "dangling=true", "--filter", label
            ).stdout.split(),
        )


@pytest.fixture(scope="session")
def docker_clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A clone in which make has trained every model and built every image with Docker; removes the images.

    Its directory's parent is called as the images' names begin.
    """
    prefix = f"test{os.getpid()}"
    parent = tmp_path_factory.mktemp("docker") / prefix
    clone = make_docker_clone(parent, prefix)
    try:
        trained = make(clone, "all", "-j2", "train-all")
        assert trained.returncode == 0, trained.stderr
        for directory in (*MODEL_DIRS, "all"):
            built = make(clone, directory, "build-predict")
            assert built.returncode == 0, built.stderr
        yield clone
    finally:
        remove_images(prefix)


@pytest.fixture
def victim(docker_clone: Path) -> Iterator[tuple[Path, str]]:
    """A copy of a model directory, to be broken, and the name of its predict image, an older one of which is there."""
    directory = Path(shutil.copytree(docker_clone / MODEL_DIRS[0], docker_clone / "victim"))
    prefix = f"{docker_clone.parent.name}victim"
    makefile = directory / "Makefile"
    makefile.write_text(
        re.sub("CONTAINER_NAME := .*", f"CONTAINER_NAME := {prefix}-x", makefile.read_text())
    )
    run("docker", "tag", image_of(docker_clone, MODEL_DIRS[0], "train"), f"{prefix}-x-predict")
    yield directory, f"{prefix}-x-predict"
    shutil.rmtree(directory)
    remove_images(prefix)
