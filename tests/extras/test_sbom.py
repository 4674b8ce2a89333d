"""make sbom: a bill of materials lists what is installed in an image, all of it and nothing else."""

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from conftest import Completed, image_of, run
from support.images import files_of

MODEL = "logisticRegression"
IMAGE = "adult-income-lr-predict"


def sbom(clone: Path, engine: str, *images: str) -> Completed:
    return run(
        clone / "extras/sbom/sbom.sh",
        *images,
        cwd=clone,
        env={"ENGINE": engine, "SBOM": str(clone / "bills")},
    )


def packages(files: Iterable[str]) -> set[tuple[str, str]]:
    """The packages that files say are installed: each has a METADATA in a folder named after it and its version."""
    found = (re.search(r"/([^/]+)-([^/-]+)\.dist-info/METADATA$", name) for name in files)
    return {(canonical(match[1]), match[2]) for match in found if match}


def canonical(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def listed(clone: Path, image: str) -> set[tuple[str, str]]:
    """The packages in an image's bill, whose subject is the image."""
    bill = json.loads((clone / f"bills/{image}.cdx.json").read_text())
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", image)
    assert all(part["purl"].startswith("pkg:pypi/") for part in bill["components"])
    return {(canonical(part["name"]), part["version"]) for part in bill["components"]}


def test_an_images_name_may_have_a_folder(clone: Path) -> None:
    name = "team/house-predict"
    assert run(clone / "build.sh", name, MODEL, "predict", env={"ENGINE": "local"}).returncode == 0
    assert sbom(clone, "local", name).returncode == 0
    assert [file.name for file in (clone / "bills").iterdir()] == ["team_house-predict.cdx.json"]


def test_a_bill_lists_what_is_installed_in_a_local_image(clone: Path) -> None:
    (clone / ".local/environments").unlink()  # something is planted in it below
    assert run(clone / "build.sh", IMAGE, MODEL, "predict", env={"ENGINE": "local"}).returncode == 0
    done = sbom(clone, "local", IMAGE, "never-built")
    assert (done.returncode, "never-built" in done.stdout) == (0, False), done.stderr
    venv = (clone / ".local/images" / IMAGE / ".venv").resolve()
    installed = packages(map(str, venv.rglob("METADATA")))
    assert listed(clone, IMAGE) == installed
    assert f"{len(installed)} packages" in done.stdout
    assert {"numpy", "onnxruntime", "uvicorn"} <= {name for name, _ in installed}
    first = (clone / f"bills/{IMAGE}.cdx.json").read_bytes()

    numpy = next(venv.rglob("numpy-*.dist-info"))
    planted = numpy.with_name("ghost-1.0.dist-info")
    planted.mkdir()
    (planted / "METADATA").write_text("Metadata-Version: 2.1\nName: ghost\nVersion: 1.0\n")
    assert sbom(clone, "local", IMAGE).returncode == 0
    assert listed(clone, IMAGE) == installed | {("ghost", "1.0")}
    shutil.rmtree(planted)
    assert sbom(clone, "local", IMAGE).returncode == 0
    assert (clone / f"bills/{IMAGE}.cdx.json").read_bytes() == first


def test_an_image_whose_python_fails_is_named_and_nothing_is_written(clone: Path) -> None:
    broken = clone / ".local/images" / IMAGE / ".venv/bin/python"
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\necho 'no such thing' >&2\nexit 3\n")
    broken.chmod(0o755)
    done = sbom(clone, "local", IMAGE)
    assert (done.returncode, done.stderr) == (
        1,
        f"sbom: {IMAGE}: its packages can't be listed: no such thing\n",
    )
    assert list((clone / "bills").iterdir()) == []


def test_without_names_it_lists_what_was_built_in_a_folder_of_its_own(clone: Path) -> None:
    assert run(clone / "build.sh", IMAGE, MODEL, "predict", env={"ENGINE": "local"}).returncode == 0
    done = run("make", "-s", "sbom", cwd=clone, env={"ENGINE": "local"})
    assert done.returncode == 0, done.stderr
    assert [file.name for file in (clone / ".local/sbom").iterdir()] == [f"{IMAGE}.cdx.json"]


def test_without_any_image_it_says_so(clone: Path) -> None:
    done = sbom(clone, "local", "never-built")
    assert done.returncode == 69
    assert done.stderr == "sbom: none of never-built was built with engine local; make train-all\n"


@pytest.mark.docker
@pytest.mark.parametrize("directory, role", [(MODEL, "train"), ("all", "predict")])
def test_a_bill_lists_what_is_installed_in_a_docker_image(
    docker_clone: Path, tmp_path: Path, directory: str, role: str
) -> None:
    image = image_of(docker_clone, directory, role)
    assert sbom(docker_clone, "docker", image).returncode == 0
    installed = packages(name for name in files_of(image, tmp_path) if "/.venv/" in name)
    assert listed(docker_clone, image) == installed
    assert installed != packages(name for name in files_of(image, tmp_path) if "numpy" not in name)
