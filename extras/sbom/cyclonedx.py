"""Write a CycloneDX SBOM of each image (make sbom).

Usage: python -m extras.sbom.cyclonedx docker|local FOLDER IMAGE...

cyclonedx-bom lists the packages of an image. The result is FOLDER/IMAGE.cdx.json. Images that are
not built are skipped.
"""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

IMAGES = Path(__file__).parents[2] / ".local" / "images"
# cyclonedx-bom is installed in this folder. The Python of each image imports it from there.
TOOL = sysconfig.get_path("purelib")
TOOL_IN_CONTAINER = "/run/sbom"
# The Python of the image runs this program. The program itself appends the folder of cyclonedx-bom
# to the path: the processes that list the packages would inherit PYTHONPATH, and list the tool too.
PROGRAM = """
import runpy, sys
sys.path.append(sys.argv[1])
options = ["--output-reproducible", "--no-validate", "--sv", "1.6"]
sys.argv[1:] = ["environment", *options, sys.executable]
runpy.run_module("cyclonedx_py", run_name="__main__")
"""


def is_built(engine: str, image: str) -> bool:
    """Return whether an image was built."""
    if engine == "local":
        return (IMAGES / image).exists()
    done = subprocess.run(["docker", "image", "inspect", image], capture_output=True)
    return done.returncode == 0


def docker_command(image: str) -> list[str]:
    """Return the start of a command that runs in an image, with the tool mounted."""
    # Docker parses the mount as CSV, in which a quote is doubled.
    source = TOOL.replace('"', '""')
    mount = f'type=bind,"source={source}",target={TOOL_IN_CONTAINER},readonly'
    # The current user can read the mounted folder.
    user = f"{os.getuid()}:0"
    options = ["--rm", "-i", "--user", user, "--network=none", "--mount", mount]
    return ["docker", "run", *options, image]


def list_packages(engine: str, image: str) -> dict[str, Any]:
    """Return the SBOM of an image's virtual environment.

    Raises RuntimeError, with the error output, if the image's Python fails.
    """
    python = [".venv/bin/python", "-I", "-"]
    if engine == "docker":
        command = [*docker_command(image), *python, TOOL_IN_CONTAINER]
        folder = IMAGES.parent
    else:
        command = [*python, TOOL]
        folder = IMAGES / image

    done = subprocess.run(command, input=PROGRAM, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise RuntimeError(f"{image}: cannot list its packages: {done.stderr.strip()}")
    return dict(json.loads(done.stdout))


def write(engine: str, image: str, folder: Path) -> None:
    """Write the SBOM of an image, with the image as its subject.

    Raises RuntimeError if the packages can't be listed or the SBOM isn't valid.
    """
    sbom = list_packages(engine, image)
    sbom["metadata"]["component"] = {"type": "container", "bom-ref": image, "name": image}
    text = json.dumps(sbom, indent=2)

    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if error:
        raise RuntimeError(f"{image}: not valid CycloneDX: {error.data.message}")

    file = folder / f"{image.replace('/', '_')}.cdx.json"
    unfinished = file.with_suffix(f".{os.getpid()}")
    unfinished.write_text(text)
    unfinished.replace(file)
    print(f"---> {file}: {len(sbom['components'])} packages")


def main(engine: str, folder: Path, images: Sequence[str]) -> int:
    """Write the SBOM of every image that was built and return the exit code.

    The exit code is 69 if no image was built.
    """
    built = [image for image in images if is_built(engine, image)]
    for image in built:
        write(engine, image, folder)

    if not built:
        names = ", ".join(images)
        print(
            f"sbom: none of {names} was built with engine {engine}; make train-all",
            file=sys.stderr,
        )
        return 69
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
    except RuntimeError as error:
        sys.exit(f"sbom: {error}")
