"""Fixtures that several test files use: clones, trained models, Docker images.

Helpers are in tests/support.
"""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clones import make_clone
from support.commands import ROOT, output_of, run
from support.docker import (
    docker_problem,
    image_of,
    make_docker,
    make_docker_clone,
    package_images,
    remove_images,
)
from support.models import MODEL_DIRS, train
from support.shared import locked, shared_folder

pytest_plugins = ["support.figures", "support.parallel", "support.skips"]


def pytest_configure() -> None:
    """Let the programs of the tests receive SIGINT.

    A shell starts a job in the background with this signal ignored, and its child processes inherit
    that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the container tests if Docker or s2i is not available, with the reason."""
    marked = [item for item in items if item.get_closest_marker("docker")]
    if not marked:
        return

    problem = docker_problem()
    if not problem:
        return

    for item in marked:
        item.add_marker(pytest.mark.skip(reason=problem))


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of the repository for one test (see make_clone)."""
    return make_clone(tmp_path)


@pytest.fixture(scope="session")
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with data/ and models/; each model is trained by its own function.

    All workers of a test run use the same directory.
    """
    directory = shared_folder(request.config) / "trained"
    with locked(directory.with_suffix(".lock")):
        if not directory.exists():
            unfinished = tmp_path_factory.mktemp("training")
            (unfinished / "models").mkdir()
            (unfinished / "data").symlink_to(ROOT / "data")
            for model in MODEL_DIRS:
                output_of(train(unfinished, model))
            unfinished.rename(directory)
    return directory


@pytest.fixture(scope="session")
def docker_clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A clone with every model trained and every image built with Docker.

    The name of its parent folder is the prefix of the images' names. The images are removed at
    the end.
    """
    prefix = f"test{os.getpid()}"
    parent = tmp_path_factory.mktemp("docker") / prefix
    shared = package_images()
    clone = make_docker_clone(parent, prefix)
    try:
        output_of(make_docker(clone, "all", "-j2", "train-all"))
        for directory in (*MODEL_DIRS, "all"):
            output_of(make_docker(clone, directory, "build-predict"))
        yield clone
    finally:
        remove_images(prefix)
        run("docker", "rmi", *sorted(package_images() - shared))


@pytest.fixture
def victim(docker_clone: Path) -> Iterator[tuple[Path, str]]:
    """A copy of a model directory that a test can break, and its predict image's name.

    An older image has that name.
    """
    prefix = f"{docker_clone.parent.name}victim"
    directory = docker_clone / "victim"
    shutil.copytree(docker_clone / MODEL_DIRS[0], directory)

    makefile = directory / "Makefile"
    text = re.sub("CONTAINER_NAME := .*", f"CONTAINER_NAME := {prefix}-x", makefile.read_text())
    makefile.write_text(re.sub("MODEL_NAME := .*", "MODEL_NAME := victim", text))
    environment = directory / ".s2i/environment"
    environment.write_text(re.sub("ROUTES=[^/]*", "ROUTES=victim", environment.read_text()))

    older = image_of(docker_clone, MODEL_DIRS[0], "train")
    run("docker", "tag", older, f"{prefix}-x-predict")
    yield directory, f"{prefix}-x-predict"

    shutil.rmtree(directory)
    remove_images(prefix)
