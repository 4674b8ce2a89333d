"""One model trains and serves on the newest supported Python, under both engines.

NEWEST_BASE_IMAGE names an image with that Python and make, which .ci/run builds.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import output_of, run
from support.docker import build_builder, image_of, make_docker, make_named_clone, remove_images
from support.models import FASTEST
from support.network import free_port

BASE = os.environ.get("NEWEST_BASE_IMAGE", "")
pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(not BASE, reason="NEWEST_BASE_IMAGE is not set, .ci/run sets it"),
]

VERSION = "Python 3.14."
MODEL = FASTEST
LOCAL_ENGINE = f"""
set -e
. /run/s2i-settings/env
cd {MODEL}
make build-train train build-predict
make predict DETACH=1
make test-endpoint stop
../.local/images/*-predict/.venv/bin/python -V
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A clone whose images have a prefix, which is the name of its parent folder."""
    prefix = f"newest{os.getpid()}"
    try:
        yield make_named_clone(tmp_path_factory.mktemp("newest") / prefix, prefix)
    finally:
        remove_images(prefix)


def test_a_model_trains_and_serves_with_docker(clone: Path) -> None:
    port = free_port()
    builders = {}
    for target, variable in (("model", "TRAIN_BUILDER"), ("daemon", "PREDICT_BUILDER")):
        builders[variable] = f"{clone.parent.name}-{target}"
        build_builder(target, BASE, builders[variable])

    for commands in (["build-train", "train"], ["build-predict"]):
        output_of(make_docker(clone, MODEL, *commands, **builders))
    output_of(make_docker(clone, MODEL, "predict", DETACH=1, PORT=port))
    tested = make_docker(clone, MODEL, "test-endpoint", PORT=port)
    output_of(make_docker(clone, MODEL, "stop"))

    assert "4 predictions, as expected" in output_of(tested)
    image = image_of(clone, MODEL, "predict")
    version = run("docker", "run", "--rm", image, ".venv/bin/python", "-V")
    assert output_of(version).startswith(VERSION)


def test_a_model_trains_and_serves_without_docker(clone: Path, tmp_path: Path) -> None:
    output_of(run(sys.executable, "engines/pip_settings.py", tmp_path))
    shutil.rmtree(clone / "models")
    (clone / "models").mkdir()
    # In the container, these links to this machine's folders lead nowhere.
    for shared in ("cache", "environments"):
        (clone / ".local" / shared).unlink()
        (clone / ".local" / shared).mkdir()

    mounts = (
        *("--volume", f"{clone}:/clone", "--volume", f"{tmp_path}:/run/s2i-settings:ro"),
        *("--volume", "s2i-python-wheels:/clone/.local/cache", "--workdir", "/clone"),
    )
    user = f"{os.getuid()}:{os.getgid()}"
    options = ("--rm", "--init", "--user", user, "--env=ENGINE=local", *mounts)
    output = output_of(run("docker", "run", *options, BASE, "bash", "-c", LOCAL_ENGINE))

    assert "4 predictions, as expected" in output
    assert output.splitlines()[-1].startswith(VERSION)
