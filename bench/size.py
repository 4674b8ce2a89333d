"""Report the sizes of the packages and layers of predict images (bench-size).

Usage: python3 bench/size.py docker|local IMAGE...

The exit code is 1 if an image is more than BUDGET_MB larger than its base. The size of a package is
the size of the files in its RECORD. An image of the local engine is a folder. It has no base image
and no layers.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from measure import ROOT, report

# All smaller packages share one line.
SHOWN_MB = 1.0
MAX_NAME = 70
# The image's Python runs this program in the folder of the image. Links are not counted, because
# their targets are in the base image.
PROGRAM = """
import importlib.metadata, json, os, sys


def size(paths):
    files = set()
    for path in paths:
        if os.path.isfile(path) and not os.path.islink(path):
            files.add(os.path.realpath(path))
    return sum(map(os.path.getsize, files))


def files_below(*tops):
    for top in tops:
        for folder, _, names in os.walk(top):
            for name in names:
                yield os.path.join(folder, name)


sizes = {}
for package in importlib.metadata.distributions():
    files = map(package.locate_file, package.files or ())
    sizes[f"{package.name} {package.version}"] = size(files)
everything = size(files_below(".", sys.prefix))
sizes["application and environment"] = everything - sum(sizes.values())
print(json.dumps(sizes))
"""
RUN_PROGRAM = (".venv/bin/python", "-I", "-")


def output(*command: str, program: str = "", cwd: Path = ROOT) -> str:
    """Return the output of a command.

    Raises RuntimeError with its stderr if it fails.
    """
    done = subprocess.run(command, input=program, capture_output=True, text=True, cwd=cwd)
    if done.returncode:
        reason = f"{' '.join(command)}: {done.stderr.strip()}"
        raise RuntimeError(f"{reason}; make build-predict makes an image")
    return done.stdout


def packages(engine: str, image: str) -> dict[str, int]:
    """Return the bytes of each package, and those of all files outside packages."""
    if engine == "docker":
        command = ("docker", "run", "--rm", "-i", image, *RUN_PROGRAM)
        text = output(*command, program=PROGRAM)
    else:
        folder = ROOT / ".local" / "images" / image
        text = output(*RUN_PROGRAM, program=PROGRAM, cwd=folder)
    return dict(json.loads(text))


def history(image: str) -> list[tuple[str, int]]:
    """Return the layers of a Docker image, the newest first.

    Each layer is a pair of its command and its bytes.
    """
    options = ("--human=false", "--no-trunc", "--format", "{{.Size}} {{.CreatedBy}}")
    layers = []
    for line in output("docker", "history", *options, image).splitlines():
        size, _, command = line.partition(" ")
        layers.append((command, int(size)))
    return layers


def layers_over_base(image: str) -> tuple[str, list[tuple[str, int]]]:
    """Return the name of the base image, and the layers above it, the newest first."""
    label = '{{index .Config.Labels "base-image"}}'
    base = output("docker", "image", "inspect", "--format", label, image).strip()
    layers = history(image)
    return base, layers[: len(layers) - len(history(base))]


def lines(sizes: Mapping[str, int], heading: str) -> list[dict[str, Any]]:
    """Return the lines of a table, the largest first; small packages share a line."""
    megabytes = {}
    small = []
    for name, size in sizes.items():
        if size >= SHOWN_MB * 1e6:
            megabytes[name[:MAX_NAME]] = size / 1e6
        elif size > 0:
            small.append(size / 1e6)
    megabytes[f"{len(small)} of less than {SHOWN_MB:g} MB"] = sum(small)

    largest_first = sorted(megabytes, key=lambda name: -megabytes[name])
    return [{heading: name, "MB": f"{megabytes[name]:.1f}"} for name in largest_first]


def measure(engine: str, image: str) -> float:
    """Report the parts of an image and return the MB that it adds to its base."""
    sizes = packages(engine, image)
    if engine == "docker":
        base, layers = layers_over_base(image)
        total = sum(size for _, size in layers)
    else:
        base = "no base, a folder"
        layers = []
        total = sum(sizes.values())

    title = f"{image}: {total / 1e6:.1f} MB over {base}"
    report(f"size-{image}", title, lines(sizes, "package"), [sizes, layers])
    if layers:
        title = f"Layers of {image} over {base}"
        report(f"layers-{image}", title, lines(dict(layers), "layer"), layers)
    return total / 1e6


def main(engine: str, images: Sequence[str], budget: float) -> int:
    """Measure every image and return the exit code.

    The exit code is 1 if an image is more than `budget` MB larger than its base.
    """
    sizes = {image: measure(engine, image) for image in images}
    over_budget = {image: size for image, size in sizes.items() if size > budget}
    for image, size in over_budget.items():
        expected = f"expected at most BUDGET_MB={budget:g}"
        problem = f"{image} is {size:.1f} MB over its base, {expected}"
        print(f"size: {problem}; its largest packages are listed above", file=sys.stderr)
    return 1 if over_budget else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], sys.argv[2:], float(os.environ.get("BUDGET_MB") or "inf")))
    except RuntimeError as error:
        sys.exit(f"size: {error}")
