"""make size: the parts of predict images, the size limit, and slim.sh."""

import json
import shutil
from pathlib import Path

import pytest
from support.commands import ROOT, Completed, output_of, run
from support.docker import image_of, inspect
from support.models import FASTEST

SLIM = ROOT / "builders/slim.sh"
IMAGE = "adult-income-lr-predict"
# Fails unless every file in a package's RECORD exists and has the digest that is listed.
CHECK_RECORDS = """
import base64, csv, hashlib, importlib.metadata, pathlib

for package in importlib.metadata.distributions():
    for name, expected, _ in csv.reader(package.read_text('RECORD').splitlines()):
        content = pathlib.Path(package.locate_file(name)).read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
        assert expected in ('', 'sha256=' + digest.rstrip('=')), name
"""
LIBRARY = "onnxruntime/capi/libonnxruntime.so.1.32.0"
MODULE = "onnxruntime/capi/onnxruntime_pybind11_state.so"
RECORD = "onnxruntime-1.32.0.dist-info/RECORD"
INIT_LINE = "onnxruntime/__init__.py,,\n"


def make_size(clone: Path, **variables: str) -> Completed:
    """Run make size of one model's image under the local engine."""
    environment = {"ENGINE": "local", "RESULTS": str(clone / "results"), **variables}
    return run(clone / "bench/size.sh", FASTEST, cwd=clone, env=environment)


def measured(folder: Path, image: str) -> list[object]:
    """Return the bytes by package and the layers that make size wrote to a folder."""
    report = json.loads((folder / f"size-{image}.json").read_text())
    return list(report["measured"])


# `trained` has the environment's wheels.
@pytest.mark.usefixtures("trained")
def test_parts_of_an_image_add_up_to_its_files_within_the_budget(clone: Path) -> None:
    output_of(make_size(clone, BUDGET_MB="400"))
    parts, _ = measured(clone / "results", IMAGE)
    assert isinstance(parts, dict)
    assert {"onnxruntime", "numpy", "uvloop"} <= {name.split()[0] for name in parts}

    image = clone / ".local/images" / IMAGE
    size = 0
    for folder in (image, (image / ".venv").resolve()):
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                size += path.stat().st_size
    assert sum(parts.values()) == size


def test_image_over_its_budget_fails_and_is_named(clone: Path) -> None:
    done = make_size(clone, BUDGET_MB="100")
    assert done.returncode == 1
    assert done.stderr.startswith(f"size: {IMAGE} is 1")
    assert done.stderr.endswith(
        " MB over its base, expected at most BUDGET_MB=100; its largest packages are listed above\n"
    )


def test_budget_that_is_no_number_is_rejected_before_any_build(clone: Path) -> None:
    done = make_size(clone, BUDGET_MB="big")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "size.sh: BUDGET_MB=big: expected megabytes, such as 180\n"


def test_size_names_an_image_that_does_not_exist(tmp_path: Path) -> None:
    program = ROOT / "bench/size.py"
    done = run("python3", program, "docker", "no-such-image", env={"RESULTS": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr.startswith("size: ")
    assert "no-such-image" in done.stderr


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """The packages of an environment that contain the two libraries of ONNX Runtime."""
    packages = tmp_path / "my venv" / "lib/python3.13/site-packages"
    (packages / "onnxruntime/capi").mkdir(parents=True)
    (packages / LIBRARY).write_bytes(b"its own name: libonnxruntime.so.1")
    (packages / MODULE).write_bytes(b"\0module\0")
    (packages / RECORD).parent.mkdir()
    (packages / RECORD).write_text(f"{INIT_LINE}{LIBRARY},sha256=x,33\n")
    return packages


def run_slim(packages: Path) -> None:
    """Run slim.sh on the environment of these packages; check that it prints nothing."""
    done = run(SLIM, packages.parents[2])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_slim_removes_a_library_that_nothing_names_with_its_line(packages: Path) -> None:
    for _ in range(2):
        run_slim(packages)
        assert not (packages / LIBRARY).exists()
        assert (packages / RECORD).read_text() == INIT_LINE


@pytest.mark.parametrize("user", ["onnxruntime_genai/genai.so", MODULE])
def test_slim_keeps_a_library_that_another_file_names(packages: Path, user: str) -> None:
    (packages / user).parent.mkdir(exist_ok=True)
    (packages / user).write_bytes(b"\0libonnxruntime.so.1\0")
    run_slim(packages)
    assert (packages / LIBRARY).exists()
    assert LIBRARY in (packages / RECORD).read_text()


def test_slim_leaves_an_environment_without_the_library_as_it_is(packages: Path) -> None:
    shutil.rmtree(packages / "onnxruntime")
    run_slim(packages)
    assert [path.name for path in packages.iterdir()] == ["onnxruntime-1.32.0.dist-info"]


def run_in_image(image: str, command: str, program: str = "") -> Completed:
    """Run a shell command in an image; $0 is the text of a Python program."""
    # Only root can change the files of an image.
    return run("docker", "run", "--rm", "--user", "0", image, "bash", "-c", command, program)


@pytest.mark.docker
@pytest.mark.parametrize("role", ["train", "predict"])
def test_image_lacks_only_files_that_its_records_lack(docker_clone: Path, role: str) -> None:
    image = image_of(docker_clone, FASTEST, role)
    output_of(run_in_image(image, '.venv/bin/python -c "$0"', CHECK_RECORDS))

    files = output_of(run_in_image(image, "ls .venv/lib/python*/site-packages/onnxruntime/capi"))
    assert "onnxruntime_pybind11_state" in files
    assert "libonnxruntime.so" not in files


@pytest.mark.docker
def test_file_that_is_removed_without_its_line_is_noticed(docker_clone: Path) -> None:
    image = image_of(docker_clone, FASTEST, "predict")
    remove = "rm .venv/lib/python*/site-packages/numpy/_core/tests/test_api.py"
    done = run_in_image(image, f'{remove} && .venv/bin/python -c "$0"', CHECK_RECORDS)
    assert done.returncode == 1
    assert "FileNotFoundError" in done.stderr


@pytest.mark.docker
def test_size_over_the_base_is_the_difference_that_docker_shows(
    docker_clone: Path, tmp_path: Path
) -> None:
    image = image_of(docker_clone, FASTEST, "predict")
    base = inspect(image)["Config"]["Labels"]["base-image"]
    program = docker_clone / "bench/size.py"
    done = run("python3", program, "docker", image, env={"RESULTS": str(tmp_path)})
    assert f"MB over {base}" in output_of(done)

    _, layers = measured(tmp_path, image)
    assert isinstance(layers, list)
    size_over_base = inspect(image)["Size"] - inspect(base)["Size"]
    assert sum(size for _, size in layers) == size_over_base
