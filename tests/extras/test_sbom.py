"""make sbom: an SBOM lists exactly the packages that are installed in an image."""

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from support.commands import Completed, make, output_of, run
from support.docker import files_of, image_of
from support.models import FASTEST

IMAGE = "adult-income-lr-predict"
# Each installed package has such a file, in a folder with its name and its version.
METADATA = re.compile(r"/([^/]+)-([^/-]+)\.dist-info/METADATA$")
Packages = set[tuple[str, str]]


def build(clone: Path, image: str = IMAGE) -> None:
    """Build a predict image of the local engine."""
    output_of(run(clone / "build.sh", image, FASTEST, "predict", env={"ENGINE": "local"}))


def write_sbom(clone: Path, engine: str, *images: str) -> Completed:
    """Run sbom.sh, which writes into the clone's folder sboms."""
    variables = {"ENGINE": engine, "SBOM": str(clone / "sboms")}
    return run(clone / "extras/sbom/sbom.sh", *images, cwd=clone, env=variables)


def sbom_file(clone: Path, image: str = IMAGE) -> Path:
    """Return the path of an image's SBOM."""
    return clone / f"sboms/{image}.cdx.json"


def canonical(name: str) -> str:
    """Return a package's name in its canonical form."""
    return re.sub("[-_.]+", "-", name).lower()


def installed_packages(files: Iterable[object]) -> Packages:
    """Return names and versions of the packages whose metadata are among the files."""
    packages = set()
    for file in files:
        match = METADATA.search(str(file))
        if match:
            packages.add((canonical(match[1]), match[2]))
    return packages


def listed_packages(clone: Path, image: str = IMAGE) -> Packages:
    """Return names and versions of the packages in an image's SBOM."""
    sbom = json.loads(sbom_file(clone, image).read_text())
    subject = sbom["metadata"]["component"]["name"]
    assert (sbom["bomFormat"], subject) == ("CycloneDX", image)

    packages = set()
    for component in sbom["components"]:
        assert component["purl"].startswith("pkg:pypi/")
        packages.add((canonical(component["name"]), component["version"]))
    return packages


def test_name_of_an_image_may_have_a_folder(clone: Path) -> None:
    name = "team/house-predict"
    build(clone, name)
    output_of(write_sbom(clone, "local", name))
    assert [file.name for file in (clone / "sboms").iterdir()] == ["team_house-predict.cdx.json"]


def test_sbom_lists_what_is_installed_in_a_local_image(clone: Path) -> None:
    # The test adds a package below, so it must not use the environment of other tests.
    (clone / ".local/environments").unlink()
    build(clone)
    output = output_of(write_sbom(clone, "local", IMAGE, "never-built"))
    assert "never-built" not in output

    environment = (clone / ".local/images" / IMAGE / ".venv").resolve()
    installed = installed_packages(environment.rglob("METADATA"))
    assert listed_packages(clone) == installed
    assert f"{len(installed)} packages" in output
    assert {"numpy", "onnxruntime", "uvicorn"} <= {name for name, _ in installed}
    first = sbom_file(clone).read_bytes()

    numpy = next(environment.rglob("numpy-*.dist-info"))
    planted = numpy.with_name("ghost-1.0.dist-info")
    planted.mkdir()
    (planted / "METADATA").write_text("Metadata-Version: 2.1\nName: ghost\nVersion: 1.0\n")
    output_of(write_sbom(clone, "local", IMAGE))
    assert listed_packages(clone) == installed | {("ghost", "1.0")}

    shutil.rmtree(planted)
    output_of(write_sbom(clone, "local", IMAGE))
    assert sbom_file(clone).read_bytes() == first


def test_image_whose_python_fails_is_named_and_nothing_is_written(clone: Path) -> None:
    broken = clone / ".local/images" / IMAGE / ".venv/bin/python"
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\necho 'no such thing' >&2\nexit 3\n")
    broken.chmod(0o755)
    done = write_sbom(clone, "local", IMAGE)
    assert done.returncode == 1
    assert done.stderr == f"sbom: {IMAGE}: its packages can't be listed: no such thing\n"
    assert list((clone / "sboms").iterdir()) == []


def test_make_sbom_writes_an_sbom_of_each_image_that_was_built(clone: Path) -> None:
    build(clone)
    output_of(make(clone, ".", "sbom", ENGINE="local"))
    assert [file.name for file in (clone / ".local/sbom").iterdir()] == [f"{IMAGE}.cdx.json"]


def test_sbom_fails_when_no_image_was_built(clone: Path) -> None:
    done = write_sbom(clone, "local", "never-built")
    assert done.returncode == 69
    assert done.stderr == "sbom: none of never-built was built with engine local; make train-all\n"


@pytest.mark.docker
@pytest.mark.parametrize("directory, role", [(FASTEST, "train"), ("all", "predict")])
def test_sbom_lists_what_is_installed_in_a_docker_image(
    docker_clone: Path, tmp_path: Path, directory: str, role: str
) -> None:
    image = image_of(docker_clone, directory, role)
    output_of(write_sbom(docker_clone, "docker", image))
    files = [name for name in files_of(image, tmp_path) if "/.venv/" in name]
    installed = installed_packages(files)
    assert listed_packages(docker_clone, image) == installed

    without_numpy = [name for name in files if "numpy" not in name]
    assert installed != installed_packages(without_numpy)
