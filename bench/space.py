"""The space that Docker images take: the layers over their base (bench-build)."""

import subprocess
from collections.abc import Iterable, Mapping, Sequence

from measure import ROOT, verdict

BUILDER = "s2i-daemon-python"
NEW_MB = 1.0
OF_ONE = 1.3
# The bytes of layers by their ids.
Layers = Mapping[str, int]


def output(*command: str) -> str:
    """Return the output of a command, or an empty text if it fails."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def layers(image: str) -> Layers:
    """Return the layers of an image over the base image of the builder."""
    history = ("docker", "history", "--no-trunc", "--human=false", "--format", "{{.ID}} {{.Size}}")
    label = '{{index .Config.Labels "base-image"}}'
    base = output("docker", "image", "inspect", "--format", label, BUILDER)
    below = {line.split()[0] for line in output(*history, base).splitlines()}
    pairs = (line.split() for line in output(*history, image).splitlines())
    return {name: int(size) for name, size in pairs if name not in below}


def megabytes(found: Layers, known: Iterable[str] = ()) -> float:
    """Return the size of the layers that are not known."""
    return sum(size for name, size in found.items() if name not in known) / 1e6


def space_lines(before: Layers, after: Layers, images: Sequence[Layers]) -> list[dict[str, str]]:
    """Return the lines of the table of space.

    `before` and `after` are the layers of one image before and after an edit. `images` are those of
    all images, which are compared with the first one. A failed build makes the values void.
    """
    together: dict[str, int] = {}
    for image in images:
        together.update(image)
    values = {
        "new layers after an edit, MB": megabytes(after, before),
        "one image, MB": megabytes(images[0]),
        "all images, MB": megabytes(together),
        "all images, divided by one image": megabytes(together) / (megabytes(images[0]) or 1),
    }
    goals = {"new layers after an edit, MB": NEW_MB, "all images, divided by one image": OF_ONE}
    is_void = not all([before, after, *images])
    return [line(name, value, goals.get(name), is_void) for name, value in values.items()]


def line(name: str, value: float, goal: float | None, is_void: bool) -> dict[str, str]:
    """Return one line of the table."""
    result = "" if goal is None else f"at most {goal:g}: {verdict(value, goal, True)}"
    if is_void:
        return {"space": name, "value": "void", "goal": ""}
    return {"space": name, "value": f"{value:.2f}", "goal": result}
