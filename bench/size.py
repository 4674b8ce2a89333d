"""bench-size: what predict images are made of, per package and per layer, over their base image.

Usage: python3 bench/size.py docker|local IMAGE...      exit code 1 if one is more than BUDGET_MB over its base

A package's size is that of the files its RECORD lists. An image of the local engine is a folder, without base or layer.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from measure import ROOT, report

SHOWN_MB = 1.0  # smaller packages are one line together
# Run by the image's own Python, in the image's own folder. Links count nothing: what they lead to is the base's.
PROGRAM = """
import importlib.metadata, json, os, sys
def size(paths):
    own = {os.path.realpath(path) for path in paths if not os.path.islink(path) and os.path.isfile(path)}
    return sum(map(os.path.getsize, own))
def files(*tops):
    return (os.path.join(at, name) for top in tops for at, _, names in os.walk(top) for name in names)
found = {f"{one.name} {one.version}": size(map(one.locate_file, one.files or ()))
         for one in importlib.metadata.distributions()}
found["application and environment"] = size(files(".", sys.prefix)) - sum(found.values())
print(json.dumps(found))
"""


def output(*command: str, program: str = "", cwd: Path = ROOT) -> str:
    """What a command prints; raises RuntimeError with what it said if it fails."""
    done = subprocess.run(command, input=program, capture_output=True, text=True, cwd=cwd)
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)}: {done.stderr.strip()}; make build-predict makes an image"
        )
    return done.stdout


def packages(engine: str, image: str) -> dict[str, int]:
    """Bytes by package, and of all that is in none."""
    if engine == "docker":
        text = output(
            "docker", "run", "--rm", "-i", image, ".venv/bin/python", "-I", "-", program=PROGRAM
        )
    else:
        text = output(
            ".venv/bin/python", "-I", "-", program=PROGRAM, cwd=ROOT / ".local" / "images" / image
        )
    return dict(json.loads(text))


def history(image: str) -> list[tuple[str, int]]:
    """The layers of a Docker image, the newest first: what made each, and its bytes."""
    text = output(
        "docker",
        "history",
        "--human=false",
        "--no-trunc",
        "--format",
        "{{.Size}} {{.CreatedBy}}",
        image,
    )
    pairs = [line.partition(" ") for line in text.splitlines()]
    return [(made_by, int(size)) for size, _, made_by in pairs]


def layers(image: str) -> tuple[str, list[tuple[str, int]]]:
    """The name of the base image, and the layers over it, the newest first."""
    base = output(
        "docker", "image", "inspect", "--format", '{{index .Config.Labels "base-image"}}', image
    ).strip()
    every = history(image)
    return base, every[: len(every) - len(history(base))]


def lines(sizes: Mapping[str, int], heading: str) -> list[dict[str, Any]]:
    """A table's lines, the largest first, what is small in one."""
    large = {name[:70]: size / 1e6 for name, size in sizes.items() if size >= SHOWN_MB * 1e6}
    small = [size / 1e6 for size in sizes.values() if 0 < size < SHOWN_MB * 1e6]
    large[f"{len(small)} of less than {SHOWN_MB:g} MB"] = sum(small)
    return [
        {heading: name, "MB": f"{size:.1f}"}
        for name, size in sorted(large.items(), key=lambda one: -one[1])
    ]


def measure(engine: str, image: str) -> float:
    """Reports what an image is made of and returns its MB over its base."""
    found = packages(engine, image)
    base, over, total = "no base, a folder", [], sum(found.values())
    if engine == "docker":
        base, over = layers(image)
        total = sum(size for _, size in over)
    report(
        f"size-{image}",
        f"{image}: {total / 1e6:.1f} MB over {base}",
        lines(found, "package"),
        [found, over],
    )
    if over:
        report(
            f"layers-{image}", f"Layers of {image} over {base}", lines(dict(over), "layer"), over
        )
    return total / 1e6


def main(engine: str, images: Sequence[str], budget: float) -> int:
    """Measures every image; returns 1 if one is over the budget, in MB over its base."""
    sizes = {image: measure(engine, image) for image in images}
    over = {image: size for image, size in sizes.items() if size > budget}
    for image, size in over.items():
        said = (
            f"size: {image} is {size:.1f} MB over its base, expected at most BUDGET_MB={budget:g}"
        )
        print(f"{said}; its largest packages stand above", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], sys.argv[2:], float(os.environ.get("BUDGET_MB") or "inf")))
    except RuntimeError as error:
        sys.exit(f"size: {error}")
