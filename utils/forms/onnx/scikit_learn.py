"""Convert scikit-learn's estimators to ONNX."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy.sparse import issparse

from utils.forms.onnx import graph
from utils.forms.onnx.members import OPSETS, register_members

# skl2onnx writes no exponential for these losses.
LOGARITHMIC = ("poisson", "gamma")


def convert(estimator: Any, name: str, width: int) -> Any:
    """Return the ONNX model of an estimator."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    converted = equal_estimator(estimator)
    rows = [("rows", FloatTensorType([None, width]))]
    options = None
    if hasattr(estimator, "predict_proba"):
        options = {id(converted): {"zipmap": False}}
    opset = OPSETS if register_members(converted) else graph.OPSET
    with integer_attributes():
        model = convert_sklearn(converted, name, rows, options=options, target_opset=opset)
    if name == "OneVsOneClassifier":
        graph.flatten_classes(model)
    if name == "HistGradientBoostingRegressor" and estimator.loss in LOGARITHMIC:
        graph.add_link(model, "exp")
    return model


def equal_estimator(estimator: Any) -> Any:
    """Return an estimator of equal answers that skl2onnx converts exactly.

    Raises ValueError if skl2onnx would write a wrong graph.
    """
    name = type(estimator).__name__
    if getattr(estimator, "is_categorical_", None) is not None:
        raise ValueError("categorical_features have no ONNX form")
    if name == "LinearDiscriminantAnalysis":
        return logistic_of(estimator)
    estimator = copy.copy(estimator)
    for attribute, value in list(vars(estimator).items()):
        # skl2onnx expects arrays.
        if issparse(value):
            setattr(estimator, attribute, value.toarray())
    if name == "VotingClassifier":
        # It concerns `transform`, and skl2onnx rejects it.
        estimator.flatten_transform = False
    return estimator


def logistic_of(discriminant: Any) -> Any:
    """Return the logistic regression that is equal to a discriminant analysis."""
    from sklearn.linear_model import LogisticRegression

    logistic = LogisticRegression()
    for name in ("coef_", "intercept_", "classes_", "n_features_in_"):
        setattr(logistic, name, getattr(discriminant, name))
    return logistic


@contextmanager
def integer_attributes() -> Iterator[None]:
    """Let skl2onnx write exact nodes for HistGradientBoosting.

    It writes booleans for the branches of missing values, which protobuf rejects. It rounds a
    threshold to the nearest float32 number, which can be the next value of the column.
    """
    from skl2onnx.common import tree_ensemble

    original = tree_ensemble.add_node

    def add_node(*arguments: Any, nodes_missing_value_tracks_true: Any = 0, **options: Any) -> None:
        tracks_true = int(nodes_missing_value_tracks_true)
        options["adjust_threshold_for_sklearn"] = True
        original(*arguments, nodes_missing_value_tracks_true=tracks_true, **options)

    tree_ensemble.add_node = add_node
    try:
        yield
    finally:
        tree_ensemble.add_node = original


def add_missing_branches(estimator: Any, model: Any) -> None:
    """Write the branches for missing values, which skl2onnx leaves out.

    It applies to trees, and to estimators whose members are trees. Without missing values, the
    branches are not needed, and ONNX Runtime is faster without them.
    Raises ValueError if the graph has the trees in another order.
    """
    trees = list(trees_of(estimator))
    for node in model.graph.node:
        branches = graph.attribute(node, "nodes_missing_value_tracks_true")
        if not trees or branches is None:
            continue
        found: list[int] = []
        while trees and len(found) < len(branches.ints):
            found += trees.pop(0).missing_go_to_left.astype(int).tolist()
        if len(found) != len(branches.ints):
            raise ValueError("the branches of missing values are unknown")
        branches.ints[:] = found


def trees_of(estimator: Any) -> Iterator[Any]:
    """Yield the trees of an estimator and its members, in skl2onnx's order."""
    if hasattr(estimator, "tree_"):
        yield estimator.tree_
    members = getattr(estimator, "estimators_", [])
    # Gradient boosting has a matrix of trees.
    for member in members.ravel() if isinstance(members, np.ndarray) else members:
        yield from trees_of(member)
