"""Convert xgboost's estimators to ONNX."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from utils.forms.onnx import graph

# onnxmltools converts these objectives exactly if a round has one tree for each class. ONNX Runtime
# gives wrong answers for its graph if no tree has a split.
PLAIN = {"binary:logistic", "multi:softprob"}
LINKS = {
    "binary:hinge": "step",
    "binary:logistic": "sigmoid",
    "count:poisson": "exp",
    "multi:softmax": "softmax",
    "multi:softprob": "softmax",
    "reg:absoluteerror": "identity",
    "reg:expectileerror": "identity",
    "reg:gamma": "exp",
    "reg:logistic": "sigmoid",
    "reg:pseudohubererror": "identity",
    "reg:quantileerror": "identity",
    "reg:squarederror": "identity",
    "reg:squaredlogerror": "identity",
    "reg:tweedie": "exp",
}


def convert(estimator: Any, name: str, width: int) -> Any:
    """Return the ONNX model of an estimator.

    Raises ValueError for an unknown objective.
    """
    booster = estimator.get_booster()
    learner = json.loads(booster.save_config())["learner"]
    objective = learner["objective"]["name"]
    if is_plain(estimator, learner):
        return convert_plain(estimator, name, width)
    if objective not in LINKS:
        raise ValueError(f"objective {objective!r} has no ONNX form")

    if learner["gradient_booster"]["name"] == "gblinear":
        model = linear_sums(booster, name, width)
    else:
        model = tree_sums(rounds_of(estimator, booster), name, width)
    if not np.isnan(estimator.missing):
        set_missing(model, estimator.missing)
    graph.add_link(model, LINKS[objective])
    if hasattr(estimator, "predict_proba"):
        graph.add_classes(model, base_sums(booster, width).size)
    return model


def is_plain(estimator: Any, learner: dict[str, Any]) -> bool:
    """Return whether onnxmltools converts the estimator exactly."""
    booster = learner["gradient_booster"]
    has_splits = bool(estimator.get_booster().get_score())
    return (
        has_splits
        and learner["objective"]["name"] in PLAIN
        and learner["learner_model_param"]["num_class"] != "2"
        and hasattr(estimator, "predict_proba")
        and booster["name"] == "gbtree"
        and booster["gbtree_model_param"]["num_parallel_tree"] == "1"
        and bool(np.isnan(estimator.missing))
    )


def convert_plain(estimator: Any, name: str, width: int) -> Any:
    """Return the ONNX model of a classifier with one tree for each class and round."""
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    rows = [("rows", FloatTensorType([None, width]))]
    return convert_xgboost(estimator, name, rows, target_opset=graph.OPSET)


def rounds_of(estimator: Any, booster: Any) -> Any:
    """Return the booster without the rounds after the best one."""
    if booster.attr("best_iteration") is None:
        return booster
    return booster[: estimator.best_iteration + 1]


def base_sums(booster: Any, width: int) -> np.ndarray:
    """Return the number that xgboost adds to each sum of the trees."""
    from xgboost import DMatrix

    row = np.zeros((1, width), dtype=np.float32)
    sums = booster.predict(DMatrix(row), output_margin=True)
    without = DMatrix(row, base_margin=np.zeros_like(sums))
    difference = sums - booster.predict(without, output_margin=True)
    return np.asarray(difference, dtype=np.float32).ravel()


def tree_sums(booster: Any, name: str, width: int) -> Any:
    """Return the ONNX model of the sums of the trees, before the link function."""
    from onnx import helper
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import XGBConverter

    trees = [json.loads(text) for text in booster.get_dump(dump_format="json", with_stats=True)]
    trees = XGBConverter._process_categorical_features(trees)
    base = base_sums(booster, width)
    saved = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]
    weights = saved.get("weight_drop", [1.0] * len(trees))
    outputs = saved.get("gbtree", saved)["model"]["tree_info"]

    attributes = XGBConverter._get_default_tree_attribute_pairs(is_classifier=False)
    XGBConverter.fill_tree_attributes(trees, attributes, weights, is_classifier=False)
    attributes["target_ids"] = [outputs[tree] for tree in attributes["target_treeids"]]
    attributes |= {"n_targets": len(base), "base_values": base.tolist()}
    operator = helper.make_node(
        "TreeEnsembleRegressor", ["rows"], ["sums"], domain="ai.onnx.ml", **attributes
    )
    return graph.model_of([operator], name, width, {})


def linear_sums(booster: Any, name: str, width: int) -> Any:
    """Return the ONNX model of booster="gblinear", which skips missing values."""
    from onnx import helper

    base = base_sums(booster, width)
    dump = json.loads(booster.get_dump(dump_format="json")[0])
    weights = np.array(dump["weight"], dtype=np.float32).reshape(width, base.size)
    constants = {
        "weights": weights,
        "bias": base + np.array(dump["bias"], dtype=np.float32),
        "zero": np.float32(0),
    }
    nodes = [
        helper.make_node("IsNaN", ["rows"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "rows"], ["known"]),
        helper.make_node("Gemm", ["known", "weights", "bias"], ["sums"]),
    ]
    return graph.model_of(nodes, name, width, constants)


def set_missing(model: Any, missing: float) -> None:
    """Treat the value `missing` as a missing value at the start of a model."""
    from onnx import helper

    graph.add_constant(model, "missing value", np.float32(missing))
    graph.add_constant(model, "NaN", np.float32(np.nan))
    for node in model.graph.node:
        node.input[:] = ["values" if each == "rows" else each for each in node.input]
    nodes = [
        helper.make_node("Equal", ["rows", "missing value"], ["is missing"]),
        helper.make_node("Where", ["is missing", "NaN", "rows"], ["values"]),
    ]
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
