"""engines/clean_images.py: which images are removed, and which stay."""

import sys

import pytest
from clean_images import BUILDER, S2I, TITLE, Image, unused_images
from support.commands import ROOT, run

OURS = dict.fromkeys(BUILDER, "x")
TITLED = {**OURS, TITLE: "house-predict", S2I: "s2i-packages:1"}
BASE = Image("base", ("debian:1",), ("a",), {})
PACKAGES = Image("packages", ("s2i-packages:1", "s2i-packages:2"), ("a", "b"), OURS)
MODEL = Image("model", ("house-predict:latest",), ("a", "b", "c"), TITLED)


def unused(*images: Image) -> list[str]:
    """Return the ids of the images that are removed."""
    return [image.id for image in unused_images(images)]


def test_package_image_is_removed_once_no_image_uses_it() -> None:
    assert unused(BASE, PACKAGES, MODEL) == []
    assert unused(BASE, PACKAGES) == ["packages"]


def test_image_with_the_same_packages_but_other_layers_is_no_user() -> None:
    rebuilt = MODEL._replace(layers=("a", "x", "c"))
    assert unused(PACKAGES, rebuilt) == ["packages"]


def test_setup_image_is_removed_after_the_package_image_on_it() -> None:
    setup = Image("setup", ("s2i-setup:1",), ("a", "s"), OURS)
    packages = PACKAGES._replace(layers=("a", "s", "b"))
    assert unused(setup, packages) == ["packages", "setup"]
    assert unused(setup, packages, MODEL._replace(layers=("a", "s", "b", "c"))) == []


def test_builder_with_a_tag_of_a_setup_stays() -> None:
    builder = Image("builder", ("s2i-daemon-python:latest", "s2i-setup:1"), ("a",), OURS)
    assert unused(builder) == []


@pytest.mark.parametrize(
    "labels",
    [OURS, TITLED, {**OURS, TITLE: "s2i-packages"}],
    ids=["builder", "model", "packages"],
)
def test_image_of_ours_without_a_name_is_removed(labels: dict[str, str]) -> None:
    nameless = Image("nameless", (), ("a", "z"), labels)
    assert unused(nameless, MODEL) == ["nameless"]
    assert unused(nameless, MODEL._replace(layers=("a", "z", "c"))) == []


@pytest.mark.parametrize(
    "image",
    [
        Image("other", (), ("z",), {}),
        Image("titled", (), ("z",), {TITLE: "of another project"}),
        Image("s2i", (), ("z",), {S2I: "python"}),
        Image("by hand", (), ("z",), {**OURS, S2I: "s2i-daemon-python"}),
        Image("named", ("team/s2i-packages:1",), ("z",), {}),
        Image("both", ("s2i-packages:1", "house:1"), ("z",), OURS),
    ],
)
def test_image_of_others_stays(image: Image) -> None:
    assert unused(image) == []


def test_without_docker_the_reason_is_reported() -> None:
    program = ROOT / "engines/clean_images.py"
    done = run(sys.executable, program, env={"DOCKER_HOST": "tcp://127.0.0.1:9"})
    assert (done.returncode, done.stdout) == (69, "")
    assert "clean_images: cannot list the images" in done.stderr
    assert run(sys.executable, program, "everything").returncode == 2
