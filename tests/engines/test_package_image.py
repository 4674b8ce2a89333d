"""Package images: small layers, shared packages, builds that end early."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import clean_images
import pytest
from support.commands import ROOT, Completed, output_of, run
from support.docker import (
    files_of,
    image_of,
    inspect,
    make_docker,
    package_images,
    remove_images,
    start_build,
    tags,
    tree_of,
)
from support.models import FASTEST, MODEL_DIRS

sys.path.insert(0, str(ROOT / "bench"))
from space import layers, megabytes  # noqa: E402

pytestmark = pytest.mark.docker
MODEL = FASTEST
FOREIGN = ROOT / "tests/foreign"
Victim = tuple[Path, str]


def build(victim: Victim, **variables: str) -> Completed:
    """Build the predict image of the victim."""
    directory, _ = victim
    return make_docker(directory.parent, directory.name, "build-predict", **variables)


def edit(victim: Victim) -> None:
    """Add a line to the victim's code."""
    with (victim[0] / "predict.py").open("a") as source:
        source.write("# another line\n")


def packages_of(image: str) -> str:
    """Return the name of the image on which s2i has built an image."""
    built_on = str(inspect(image)["Config"]["Labels"]["io.openshift.s2i.build.image"])
    return built_on.removeprefix("docker.io/library/")


@pytest.fixture
def plain_builder(docker_clone: Path) -> Iterator[str]:
    """The daemon builder under another name, so that there is no package image."""
    name = f"{docker_clone.parent.name}-plain-builder"
    output_of(run("docker", "tag", "s2i-daemon-python", name))
    yield name
    run("docker", "rmi", name)


def new_megabytes(victim: Victim, **variables: str) -> float:
    """Return the size of the layers that an edit adds to the victim's image."""
    output_of(build(victim, **variables))
    before = layers(victim[1])
    edit(victim)
    output_of(build(victim, **variables))
    return megabytes(layers(victim[1]), before)


def test_edit_adds_less_than_one_megabyte(victim: Victim, plain_builder: str) -> None:
    assert 0 < new_megabytes(victim) < 1
    # The control is a builder without a package image.
    assert new_megabytes(victim, PREDICT_BUILDER=plain_builder) > 50


def test_predict_images_share_their_packages(docker_clone: Path) -> None:
    images = [image_of(docker_clone, name, "predict") for name in (*MODEL_DIRS, "all")]
    assert len({packages_of(image) for image in images}) == 1
    together = {name: size for image in images for name, size in layers(image).items()}
    assert megabytes(together) < 1.3 * megabytes(layers(images[0]))
    # xgboost trains with other packages.
    trained = {packages_of(image_of(docker_clone, name, "train")) for name in MODEL_DIRS}
    assert len(trained) == 2


def test_application_does_not_change_the_environment(docker_clone: Path, tmp_path: Path) -> None:
    image = image_of(docker_clone, MODEL, "predict")

    def environment(name: str) -> set[tuple[object, ...]]:
        scratch = tmp_path / name.partition(":")[0]
        scratch.mkdir()
        archive = tree_of(name, scratch)
        return {entry for entry in archive if str(entry[0]).startswith("action/.venv/")}

    packages = packages_of(image).partition(":")[0]
    run("docker", "tag", packages_of(image), f"{docker_clone.parent.name}-{packages}")
    found = environment(image)
    assert len(found) > 1000
    assert found == environment(f"{docker_clone.parent.name}-{packages}")


# Prints the modules of the server and of the model's packages that have no bytecode.
NO_BYTECODE = """
import os, sys
import runtime.serve, numpy, onnxruntime
for module in list(sys.modules.values()):
    cached = getattr(module, "__cached__", None)
    if cached and "/.venv/" in cached and not os.path.exists(cached):
        print(cached)
"""


def test_modules_of_packages_have_bytecode(docker_clone: Path) -> None:
    image = image_of(docker_clone, MODEL, "predict")
    command = ("docker", "run", "--rm", "--user", "0", "--env", "PYTHONPATH=/opt/builders")
    python = ".venv/bin/python"
    off = ("--env", "PYTHONDONTWRITEBYTECODE=1")
    assert output_of(run(*command, *off, image, python, "-c", NO_BYTECODE)) == ""
    # The control: the same program without the bytecode of numpy.
    remove = "rm -r .venv/lib/*/site-packages/numpy/__pycache__; exec .venv/bin/python -c"
    without = run(*command, *off, image, "bash", "-c", f'{remove} "$0"', NO_BYTECODE)
    assert "numpy" in output_of(without)


def test_package_image_has_a_title_and_no_temporary_path(
    docker_clone: Path, tmp_path: Path
) -> None:
    packages = packages_of(image_of(docker_clone, MODEL, "predict"))
    config = inspect(packages)["Config"]
    assert config["Labels"]["org.opencontainers.image.title"] == "s2i-packages"
    assert [name for name, value in config["Labels"].items() if "/tmp" in value] == []
    assert config["User"] == "1001"
    assert config["Cmd"] == ["/usr/libexec/s2i/usage"]
    assert config["Env"] == inspect("s2i-daemon-python")["Config"]["Env"]


# setup.sh


def test_setup_runs_once_before_the_packages_and_again_after_a_change(
    victim: Victim, tmp_path: Path
) -> None:
    directory, image = victim
    (directory / "setup.sh").write_text('test ! -e "$APP_ROOT/.venv"\necho 1 >/opt/one\n')
    (directory / "deleted.py").write_text("")
    first = build(victim)
    edit(victim)
    (directory / "deleted.py").unlink()
    second = build(victim)
    assert [name for name in files_of(image, tmp_path) if "deleted" in name] == []
    (directory / "setup.sh").write_text("echo 1 >/opt/two\n")
    third = build(victim)

    for done in (first, second, third):
        output_of(done)
    ran = ["---> Running setup.sh" in done.stderr for done in (first, second, third)]
    assert ran == [True, False, True]
    files = files_of(image, tmp_path)
    assert [name in files for name in ("opt/one", "opt/two")] == [False, True]


def test_setup_that_writes_into_the_application_runs_in_its_image(
    victim: Victim, tmp_path: Path
) -> None:
    directory, image = victim
    target = "finance_income_prediction/table.csv"
    (directory / "table.csv").write_text("old\n")
    (directory / "setup.sh").write_text(f"sed -i s/old/new/ {target}\n")
    for _ in range(2):
        output_of(build(victim))
        assert packages_of(image) == "s2i-daemon-python:latest"
        assert files_of(image, tmp_path)[f"action/{target}"] == b"new\n"
        edit(victim)


def test_application_of_the_document_is_built_on_its_packages(
    docker_clone: Path, tmp_path: Path
) -> None:
    image = f"{docker_clone.parent.name}-foreign-predict"
    command = (docker_clone / "engines/docker-build.sh", image, FOREIGN, "predict")
    variables = {"PREDICT_BUILDER": "s2i-daemon-python", "TRAIN_BUILDER": "s2i-model-python"}
    output_of(run(*command, env=variables))
    assert packages_of(image).startswith("s2i-packages:")
    files = files_of(image, tmp_path)
    assert {"usr/bin/tree", "action/income/predict.py"} <= set(files)


# Failures, several builds


def leftovers(scratch: Path) -> tuple[object, ...]:
    """Return what a build that ends early must not leave."""
    containers = run("docker", "ps", "-aq", "--filter", "name=^s2i-packages-").stdout
    return containers, ":unfinished" in tags(), os.listdir(scratch)


@pytest.mark.parametrize("step", ["setup.sh", "predict.py"])
def test_interrupted_build_leaves_nothing(victim: Victim, tmp_path: Path, step: str) -> None:
    directory, image = victim
    before = inspect(image)["Id"]
    steps = {
        "setup.sh": ("sleep 60\n", "Running setup.sh"),
        "predict.py": ("import time\ntime.sleep(60)\n", "Checking the functions"),
    }
    text, line = steps[step]
    (directory / step).write_text(text)
    building = start_build(victim, tmp_path, line)
    os.killpg(building.pid, signal.SIGINT)
    _, errors = building.communicate(timeout=30)
    assert building.returncode == 130, errors
    assert leftovers(tmp_path) == ("", False, [])
    assert inspect(image)["Id"] == before


def test_failed_packages_leave_no_package_image(victim: Victim) -> None:
    directory, image = victim
    before = (inspect(image)["Id"], package_images())
    (directory / "requirements_predict.txt").write_text("numpy==0.0.1\n")
    failed = build(victim)
    assert failed.returncode == 2
    problem = "docker-build.sh: the package image was not made (output above)."
    assert f"{problem} Image {image} was not changed.\n" in failed.stderr
    assert (inspect(image)["Id"], package_images()) == before


def test_two_builds_at_once_share_one_package_image(victim: Victim, tmp_path: Path) -> None:
    directory, image = victim
    with (directory / ".s2i/environment").open("a") as file:
        file.write(f"TWO_AT_ONCE={os.getpid()}\n")
    other = f"{image}-other"
    run("docker", "tag", image, other)
    builds = [start_build((directory, name), tmp_path, "Installing") for name in (image, other)]
    for building in builds:
        _, errors = building.communicate(timeout=240)
        assert building.returncode == 0, errors
    assert packages_of(image) == packages_of(other)
    shared = inspect(packages_of(image))["RootFS"]["Layers"]
    for name in (image, other):
        assert inspect(name)["RootFS"]["Layers"][: len(shared)] == shared
    assert leftovers(tmp_path) == ("", False, [])


def test_unused_package_image_is_removed_and_a_used_one_stays(victim: Victim) -> None:
    directory, image = victim
    with (directory / ".s2i/environment").open("a") as file:
        file.write(f"UNUSED={os.getpid()}\n")
    output_of(build(victim))
    packages = packages_of(image)

    def unused() -> set[str]:
        images = clean_images.unused_images(clean_images.list_images())
        return {name for image in images for name in image.names}

    assert packages not in unused()
    remove_images(image.removesuffix("-x-predict"))
    assert packages in unused()
    assert packages_of(image_of(directory.parent, MODEL, "predict")) not in unused()
    # make clean-images would also remove the images of others who build at this moment.
    assert clean_images.remove(packages)
    assert packages not in package_images()
