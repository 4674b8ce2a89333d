"""make size: what predict images are made of, its budget, and what slim.sh may and may not take out of them."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import ROOT, Completed, image_of, run
from support.images import inspect

SLIM = ROOT / "builders/slim.sh"
MODEL = "logisticRegression"
IMAGE = "adult-income-lr-predict"
# Every file that a package's RECORD lists is there, with the digest it lists.
RECORDS = """
import base64, csv, hashlib, importlib.metadata, pathlib
for one in importlib.metadata.distributions():
    for name, digest, _ in csv.reader(one.read_text('RECORD').splitlines()):
        found = hashlib.sha256(pathlib.Path(one.locate_file(name)).read_bytes()).digest()
        found = 'sha256=' + base64.urlsafe_b64encode(found).decode().rstrip('=')
        assert digest in ('', found), name
"""


def size(clone: Path, **variables: str) -> Completed:
    """make size of one model's image under the local engine."""
    env = {"ENGINE": "local", "RESULTS": str(clone / "results"), **variables}
    return run(clone / "bench/size.sh", MODEL, cwd=clone, env=env)


@pytest.mark.usefixtures("trained")  # which has the environment's wheels
def test_the_parts_of_an_image_add_up_and_a_budget_is_kept(clone: Path) -> None:
    done = size(clone, BUDGET_MB="400")
    assert done.returncode == 0, done.stderr
    parts, _ = json.loads((clone / f"results/size-{IMAGE}.json").read_text())["measured"]
    image = clone / ".local/images" / IMAGE
    folders = [image, (image / ".venv").resolve()]
    files = [
        path
        for top in folders
        for path in top.rglob("*")
        if path.is_file() and not path.is_symlink()
    ]
    assert {"onnxruntime", "numpy", "uvloop"} <= {name.split()[0] for name in parts}
    assert sum(parts.values()) == sum(file.stat().st_size for file in files)


def test_an_image_over_its_budget_fails_and_is_named(clone: Path) -> None:
    done = size(clone, BUDGET_MB="100")
    assert done.returncode == 1
    assert done.stderr.startswith(f"size: {IMAGE} is 1")
    assert done.stderr.endswith(
        " MB over its base, expected at most BUDGET_MB=100; its largest packages stand above\n"
    )


def test_a_budget_that_is_no_number_is_refused_before_any_build(clone: Path) -> None:
    done = size(clone, BUDGET_MB="big")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "size.sh: BUDGET_MB=big: expected megabytes, such as 180\n"


def test_an_image_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run(
        "python3", ROOT / "bench/size.py", "docker", "no-such-image", env={"RESULTS": str(tmp_path)}
    )
    assert done.returncode == 1
    assert done.stderr.startswith("size: ") and "no-such-image" in done.stderr


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """An environment's packages that hold ONNX Runtime's two libraries."""
    packages = tmp_path / "my venv" / "lib/python3.13/site-packages"
    (packages / "onnxruntime/capi").mkdir(parents=True)
    (packages / "onnxruntime/capi/libonnxruntime.so.1.32.0").write_bytes(
        b"its own name: libonnxruntime.so.1"
    )
    (packages / "onnxruntime/capi/onnxruntime_pybind11_state.so").write_bytes(b"\0module\0")
    (packages / "onnxruntime-1.32.0.dist-info").mkdir()
    record = packages / "onnxruntime-1.32.0.dist-info/RECORD"
    record.write_text(
        "onnxruntime/__init__.py,,\nonnxruntime/capi/libonnxruntime.so.1.32.0,sha256=x,33\n"
    )
    return packages


def slim(packages: Path) -> tuple[int, str, bool, bool]:
    """slim.sh's exit code, what it said, and whether the second library and its line are there still."""
    done = run(SLIM, packages.parents[2])
    library = packages / "onnxruntime/capi/libonnxruntime.so.1.32.0"
    record = packages / "onnxruntime-1.32.0.dist-info/RECORD"
    return (
        done.returncode,
        done.stdout + done.stderr,
        library.exists(),
        "libonnxruntime" in record.read_text(),
    )


def test_a_library_that_nothing_names_goes_with_its_line(packages: Path) -> None:
    assert slim(packages) == (0, "", False, False)
    assert slim(packages) == (0, "", False, False)
    assert (
        packages / "onnxruntime-1.32.0.dist-info/RECORD"
    ).read_text() == "onnxruntime/__init__.py,,\n"


@pytest.mark.parametrize(
    "user", ["onnxruntime_genai/genai.so", "onnxruntime/capi/onnxruntime_pybind11_state.so"]
)
def test_a_library_that_another_file_names_stays(packages: Path, user: str) -> None:
    (packages / user).parent.mkdir(exist_ok=True)
    (packages / user).write_bytes(b"\0libonnxruntime.so.1\0")
    assert slim(packages) == (0, "", True, True)


def test_an_environment_without_it_is_left_as_it_is(packages: Path) -> None:
    shutil.rmtree(packages / "onnxruntime")
    assert run(SLIM, packages.parents[2]).returncode == 0
    assert sorted(path.name for path in packages.iterdir()) == ["onnxruntime-1.32.0.dist-info"]


def in_image(image: str, text: str, *before: str) -> Completed:
    """Runs a Python program in an image, after a shell command."""
    command = " ".join(before) or "true"
    return run(
        "docker", "run", "--rm", image, "bash", "-c", f'{command} && .venv/bin/python -c "$0"', text
    )


@pytest.mark.docker
@pytest.mark.parametrize("role", ["train", "predict"])
def test_an_image_lacks_only_what_its_records_lack(docker_clone: Path, role: str) -> None:
    image = image_of(docker_clone, MODEL, role)
    checked = in_image(image, RECORDS)
    assert checked.returncode == 0, checked.stderr
    listed = run(
        "docker",
        "run",
        "--rm",
        image,
        "bash",
        "-c",
        "ls .venv/lib/python*/site-packages/onnxruntime/capi",
    )
    assert (
        "onnxruntime_pybind11_state" in listed.stdout and "libonnxruntime.so" not in listed.stdout
    )


@pytest.mark.docker
def test_a_file_removed_without_its_line_is_noticed(docker_clone: Path) -> None:
    image = image_of(docker_clone, MODEL, "predict")
    naive = in_image(
        image, RECORDS, "rm .venv/lib/python*/site-packages/numpy/_core/tests/test_api.py"
    )
    assert naive.returncode == 1 and "FileNotFoundError" in naive.stderr


@pytest.mark.docker
def test_what_docker_says_of_an_image_over_its_base_is_what_is_told(docker_clone: Path) -> None:
    image = image_of(docker_clone, MODEL, "predict")
    base = inspect(image)["Config"]["Labels"]["base-image"]
    done = run(
        "python3",
        docker_clone / "bench/size.py",
        "docker",
        image,
        env={"RESULTS": str(docker_clone / "r")},
    )
    assert done.returncode == 0, done.stderr
    _, layers = json.loads((docker_clone / f"r/size-{image}.json").read_text())["measured"]
    assert sum(size for _, size in layers) == inspect(image)["Size"] - inspect(base)["Size"]
    assert f"MB over {base}" in done.stdout
