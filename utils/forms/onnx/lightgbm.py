"""Convert LightGBM's estimators to ONNX."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from utils.forms.onnx import graph

LINKS = {
    "binary": "sigmoid",
    "cross_entropy": "sigmoid",
    "fair": "identity",
    "gamma": "exp",
    "huber": "identity",
    "mape": "identity",
    "multiclass": "softmax",
    "multiclassova": "sigmoid",
    "poisson": "exp",
    "quantile": "identity",
    "regression": "identity",
    "regression_l1": "identity",
    "regression sqrt": "signed square",
    "tweedie": "exp",
}
OBJECTIVE = re.compile(r"^objective=(\w+)(.*)$", re.MULTILINE)
THRESHOLDS = re.compile(r"^threshold=(.*)$", re.MULTILINE)
# LightGBM reads the trees without their sizes, too. A wrong size ends the process.
SIZES = re.compile(r"^tree_sizes=.*\n", re.MULTILINE)
OUTPUTS = re.compile(r"^num_tree_per_iteration=(\d+)$", re.MULTILINE)


def convert(estimator: Any, name: str, width: int) -> Any:
    """Return the ONNX model of an estimator.

    onnxmltools writes the trees. Their sums need a link function, which depends on the objective.
    Raises ValueError if the estimator has no exact form.
    """
    text = estimator.booster_.model_to_string()
    found = OBJECTIVE.search(text)
    if not found:
        raise ValueError("an objective of your own has no ONNX form")
    objective, options = found.groups()
    link = LINKS.get(objective + (" sqrt" if " sqrt" in options else ""))
    if not link:
        raise ValueError(f"objective {objective!r} has no ONNX form")
    if re.search(r"^is_linear=1$", text, re.MULTILINE):
        raise ValueError("linear_tree=True has no ONNX form")
    if "[zero_as_missing: 1]" in text:
        raise ValueError("zero_as_missing=True has no ONNX form")

    outputs = int(OUTPUTS.search(text)[1])  # type: ignore[index]
    model = tree_sums(text, name, width, outputs)
    factor = re.search(r" sigmoid:(\S+)", options)
    graph.add_link(model, link, float(factor[1]) if factor else 1.0)
    if hasattr(estimator, "predict_proba"):
        graph.add_classes(model, outputs)
    return model


def tree_sums(text: str, name: str, width: int, outputs: int) -> Any:
    """Return the ONNX model of the sums of the trees, one for each output."""
    from lightgbm import Booster
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    # onnxmltools adds no link function for this objective.
    plain = SIZES.sub("", OBJECTIVE.sub("objective=regression", text))
    booster = Booster(model_str=THRESHOLDS.sub(in_float32, plain))
    # They contain the objective, too.
    booster.params = {}
    rows = [("rows", FloatTensorType([None, width]))]
    model = convert_lightgbm(booster, name, rows, target_opset=graph.OPSET)
    trees = model.graph.node[0]
    places = np.array(graph.attribute(trees, "target_treeids").ints)
    graph.set_attribute(trees, "target_ids", (places % outputs).tolist())
    graph.set_attribute(trees, "n_targets", outputs)
    # A random forest has the mean of its trees.
    if re.search(r"^average_output$", text, re.MULTILINE):
        weights = np.array(graph.attribute(trees, "target_weights").floats)
        rounds = (places.max() + 1) // outputs
        graph.set_attribute(trees, "target_weights", (weights / rounds).tolist())
    return model


def in_float32(line: re.Match[str]) -> str:
    """Return a line of thresholds, each the largest float32 up to the threshold.

    The server compares float32 numbers. A threshold that is rounded up would move rows.
    """
    thresholds = np.array(line[1].split(), dtype=np.float64)
    rounded = thresholds.astype(np.float32)
    below = np.nextafter(rounded, np.float32(-np.inf))
    exact = np.where(rounded > thresholds, below, rounded)
    return "threshold=" + " ".join(map(repr, exact.astype(np.float64).tolist()))
