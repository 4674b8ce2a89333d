"""Report a model file that is large, or that a server loads slowly."""

from __future__ import annotations

from typing import Any

from utils.training.libraries import members_of

# A server reads the file at each start and each replacement, and each worker has it in memory.
LARGE_BYTES = 20_000_000
# A rollout waits for each server, and a liveness probe often starts after a few seconds.
SLOW_SECONDS = 2.0
# What makes an estimator smaller, by its parameters.
CURES = {
    "max_depth": "a smaller max_depth",
    "depth": "a smaller depth",
    "num_leaves": "a smaller num_leaves",
    "min_samples_leaf": "a larger min_samples_leaf",
    "n_estimators": "fewer members (n_estimators)",
    "iterations": "fewer trees (iterations)",
    "hidden_layer_sizes": "smaller hidden layers",
}
UNLIMITED = "the depth of its trees has no limit"
KEEPS_ROWS = "it keeps the encoded training rows"


def report_size(size: int, seconds: float, estimator: Any) -> None:
    """Print the cause and the cure of a large file (in bytes) or a slow start-up."""
    problems = []
    if size > LARGE_BYTES:
        problems.append(f"has {size / 1e6:.0f} MB (more than {LARGE_BYTES / 1e6:.0f})")
    if seconds > SLOW_SECONDS:
        problems.append(f"takes {seconds:.1f} s to load and check (more than {SLOW_SECONDS:.0f})")
    if problems:
        cause, cure = explain(estimator)
        print(f"     The model file {' and '.join(problems)}{cause}. Use {cure}.", flush=True)


def explain(estimator: Any) -> tuple[str, str]:
    """Return the cause of a large estimator, as a part of a sentence, and the cure."""
    settings: dict[str, Any] = {}
    for member in members_of(estimator):
        settings |= member.get_params(deep=False)
    cures = [cure for name, cure in CURES.items() if name in settings]
    if settings.get("max_depth", 1) is None and "min_samples_leaf" in settings:
        return f": {UNLIMITED}", " or ".join(cures)
    if not cures:
        return f": maybe {KEEPS_ROWS}", "another estimator, or fewer rows (train_rows)"
    return "", " or ".join(cures)
