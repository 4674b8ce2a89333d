"""make sbom: a CycloneDX bill of materials of each image, made by cyclonedx-bom from what is installed in it.

Usage: python -m extras.sbom.cyclonedx docker|local FOLDER IMAGE...

Writes FOLDER/IMAGE.cdx.json; leaves out what isn't built.
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
TOOL = sysconfig.get_path("purelib")
# Run by the image's own Python, to which the tool is lent: appended here, a search path isn't inherited and listed.
PROGRAM = """
import runpy, sys
sys.path.append(sys.argv[1])
sys.argv[1:] = ["environment", "--output-reproducible", "--no-validate", "--sv", "1.6", sys.executable]
runpy.run_module("cyclonedx_py", run_name="__main__")
"""


def is_there(engine: str, image: str) -> bool:
    """Whether the image was built."""
    if engine == "local":
        return (IMAGES / image).exists()
    return (
        subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode == 0
    )


def listed(engine: str, image: str) -> dict[str, Any]:
    """The bill of an image's virtual environment; raises RuntimeError with what its Python said if that fails."""
    command, folder = [".venv/bin/python", "-I", "-", TOOL], IMAGES / image
    if engine == "docker":
        source, folder = TOOL.replace('"', '""'), IMAGES.parent  # docker reads the mount as CSV
        mount = f'type=bind,"source={source}",target=/run/sbom,readonly'
        command[-1] = "/run/sbom"
        user = f"{os.getuid()}:0"  # who may read what is mounted
        command = [
            "docker",
            "run",
            "--rm",
            "-i",
            "--user",
            user,
            "--network=none",
            "--mount",
            mount,
            image,
            *command,
        ]
    done = subprocess.run(command, input=PROGRAM, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise RuntimeError(f"{image}: its packages can't be listed: {done.stderr.strip()}")
    return dict(json.loads(done.stdout))


def write(engine: str, image: str, folder: Path) -> None:
    """Writes the bill of an image, the image its subject; raises RuntimeError if it can't be had or isn't valid."""
    bill = listed(engine, image)
    bill["metadata"]["component"] = {"type": "container", "bom-ref": image, "name": image}
    text = json.dumps(bill, indent=2)
    if wrong := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise RuntimeError(f"{image}: not valid CycloneDX: {wrong.data.message}")
    file = folder / f"{image.replace('/', '_')}.cdx.json"
    unfinished = file.with_suffix(f".{os.getpid()}")
    unfinished.write_text(text)
    unfinished.replace(file)
    print(f"---> {file}: {len(bill['components'])} packages")


def main(engine: str, folder: Path, images: Sequence[str]) -> int:
    """Writes the bill of every image that was built; returns 69 if none was."""
    there = [image for image in images if is_there(engine, image)]
    for image in there:
        write(engine, image, folder)
    if not there:
        print(
            f"sbom: none of {', '.join(images)} was built with engine {engine}; make train-all",
            file=sys.stderr,
        )
    return 0 if there else 69


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
    except RuntimeError as error:
        sys.exit(f"sbom: {error}")
