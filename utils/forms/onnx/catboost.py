"""Convert CatBoost's estimators to ONNX."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from utils.forms.onnx import graph

# CatBoost writes no exponential for these losses.
LOGARITHMIC = ("Poisson", "Tweedie")


def convert(estimator: Any, name: str, width: int) -> Any:
    """Return the ONNX model of an estimator.

    Raises ValueError if it predicts several numbers.
    """
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        estimator.save_model(str(path), format="onnx")
        model = onnx.load(path)
    # They contain the time of the training.
    del model.metadata_props[:]
    model.graph.name = name
    trees = model.graph.node[0]
    loss = str(estimator.get_all_params().get("loss_function")).partition(":")[0]
    if hasattr(estimator, "predict_proba"):
        sum_trees(model, estimator)
        graph.add_link(model, "softmax" if loss == "MultiClass" else "sigmoid")
        graph.add_classes(model, graph.attribute(trees, "n_targets").i)
    elif trees.op_type != "TreeEnsembleRegressor":
        raise ValueError(f"loss_function {loss!r} predicts several numbers")
    else:
        graph.set_outputs(model, {trees.output[0]: [None, 1]})
        graph.add_link(model, "exp" if loss in LOGARITHMIC else "identity")
    return model


def sum_trees(model: Any, estimator: Any) -> None:
    """Let a model of a classifier return the sums of the trees.

    CatBoost writes neither the link function of MultiClassOneVsAll nor the bias of two classes.
    """
    trees = model.graph.node[0]
    base = np.ravel(estimator.get_scale_and_bias()[1])
    for attribute in trees.attribute:
        attribute.name = attribute.name.replace("class_", "target_")
    if len(base) == 1:
        # The sums of two classes are opposite numbers.
        base = np.array([-base[0], base[0]])
    graph.remove_attributes(trees, ("classlabels_int64s", "post_transform", "base_values"))
    graph.set_attribute(trees, "n_targets", len(base))
    graph.set_attribute(trees, "base_values", base.tolist())
    trees.op_type = "TreeEnsembleRegressor"
    trees.output[:] = ["sums"]

    # The second node turns the scores into a map for each row.
    del model.graph.node[1:]
    graph.set_outputs(model, {"sums": [None, len(base)]})
