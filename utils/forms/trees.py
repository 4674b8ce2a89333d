"""Check the trees of a fitted pipeline.

scikit-learn follows their nodes without a check.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.neighbors import BallTree, KDTree
from sklearn.tree._tree import Tree

# scikit-learn's number for "no child".
NO_CHILD = -1


def parts_of(pipeline: Any) -> Iterator[Any]:
    """Yield all objects that a fitted pipeline consists of."""
    seen: set[int] = set()
    waiting = [pipeline]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, (list, tuple, set)):
            waiting.extend(value)
        elif isinstance(value, np.ndarray) and value.dtype == object:
            waiting.extend(value.ravel())
        elif hasattr(value, "__dict__") and not isinstance(value, (type, FunctionType, ModuleType)):
            waiting.extend(vars(value).values())


def check_trees(parts: Iterable[Any]) -> None:
    """Raise ValueError if a tree refers to something that does not exist."""
    for part in parts:
        if isinstance(part, (BallTree, KDTree)):
            check_neighbors(part)
        for tree, width in trees_of(part):
            if isinstance(tree, Tree):
                check_tree(tree, width)
            else:
                check_predictor(tree, width)


def trees_of(part: Any) -> Iterator[tuple[Any, int]]:
    """Yield the trees that an estimator follows, each with the number of its features.

    A forest does not check the width of its rows again for each tree.
    """
    values = vars(part) if hasattr(part, "__dict__") else {}
    if isinstance(values.get("tree_"), Tree):
        yield values["tree_"], part.n_features_in_
    members = np.asarray(values.get("estimators_", ()), dtype=object).ravel()
    for member in members:
        if isinstance(getattr(member, "tree_", None), Tree):
            yield member.tree_, part.n_features_in_
    for iteration in values.get("_predictors", ()):
        for predictor in iteration:
            if isinstance(predictor, TreePredictor):
                yield predictor, part.n_features_in_


def check_tree(tree: Tree, width: int) -> None:
    """Raise ValueError unless all nodes of a tree exist."""
    if tree.node_count != tree.capacity:
        raise ValueError(f"a tree has {tree.capacity} nodes instead of {tree.node_count}")
    inner = tree.children_left != NO_CHILD
    check_nodes(tree.children_left, tree.children_right, tree.feature, inner, width)


def check_predictor(tree: TreePredictor, width: int) -> None:
    """Raise ValueError unless all nodes of a tree of HistGradientBoosting exist."""
    nodes = tree.nodes
    inner = nodes["is_leaf"] == 0
    check_nodes(nodes["left"], nodes["right"], nodes["feature_idx"], inner, width)
    sets = nodes["bitset_idx"][inner & (nodes["is_categorical"] != 0)]
    known = min(len(tree.raw_left_cat_bitsets), len(tree.binned_left_cat_bitsets))
    if (sets >= known).any():
        raise ValueError("a tree has a set of categories that does not exist")


def check_neighbors(tree: BallTree | KDTree) -> None:
    """Raise ValueError unless the nodes of a tree of neighbors refer to its rows."""
    rows, places, nodes, bounds = map(np.asarray, tree.get_arrays())
    last_children = 2 * np.flatnonzero(nodes["is_leaf"] == 0) + 2
    starts = nodes["idx_start"]
    ends = nodes["idx_end"]
    is_valid = (
        bounds.shape[1:] == (len(nodes), rows.shape[1])
        and len(places) == len(rows)
        and ((places >= 0) & (places < len(rows))).all()
        and ((starts >= 0) & (starts <= ends) & (ends <= len(places))).all()
        and (last_children < len(nodes)).all()
    )
    if not is_valid:
        raise ValueError("a tree of neighbors refers to rows or nodes that do not exist")


def check_nodes(
    left: np.ndarray, right: np.ndarray, features: np.ndarray, inner: np.ndarray, width: int
) -> None:
    """Raise ValueError unless the children and features of inner nodes exist.

    Children come after their parents. Therefore each path ends at a leaf.
    """
    if not len(inner):
        raise ValueError("a tree has no nodes")
    places = np.flatnonzero(inner)
    for children in (left[inner].astype(np.int64), right[inner].astype(np.int64)):
        if ((children <= places) | (children >= len(inner))).any():
            raise ValueError("a tree has a child that does not exist")
    if ((features[inner] < 0) | (features[inner] >= width)).any():
        raise ValueError("a tree has a feature that does not exist")
