"""Test that nodes of trees which do not exist are found, in all kinds of trees."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.validation import check_is_fitted

from utils.forms.trees import check_trees, parts_of

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(200, 4))
LABELS = (ROWS[:, 0] + ROWS[:, 1] > 0).astype(int)
SMALL = {"n_estimators": 3, "random_state": 0}
TREES = [
    DecisionTreeClassifier(max_depth=4),
    make_pipeline(StandardScaler(), DecisionTreeClassifier(max_leaf_nodes=6)),
    RandomForestClassifier(**SMALL),
    ExtraTreesClassifier(**SMALL),
    GradientBoostingClassifier(**SMALL),
    AdaBoostClassifier(**SMALL),
    BaggingClassifier(**SMALL),
    StackingClassifier([("forest", RandomForestClassifier(**SMALL))], cv=2),
]


def check(fitted: Any) -> None:
    """Check the trees of an estimator."""
    check_trees(parts_of(fitted))


def trees_in(fitted: Any) -> list[Any]:
    """Return the trees of an estimator."""
    return [vars(part)["tree_"] for part in parts_of(fitted) if "tree_" in dir(part)]


def change(tree: Any, field: str, value: int) -> None:
    """Change a field of the root."""
    state = tree.__getstate__()
    state["nodes"][field][0] = value
    tree.__setstate__(state)


def more_nodes(tree: Any) -> None:
    """State more nodes than the tree has."""
    tree.__setstate__({**tree.__getstate__(), "node_count": tree.node_count + 1})


CHANGES: dict[str, tuple[str, Callable[[Any], None]]] = {
    "left": ("child", lambda tree: change(tree, "left_child", 10**6)),
    "negative": ("child", lambda tree: change(tree, "right_child", -5)),
    "endless": ("child", lambda tree: change(tree, "right_child", 0)),
    "feature": ("feature", lambda tree: change(tree, "feature", 4)),
    "negative feature": ("feature", lambda tree: change(tree, "feature", -3)),
    "nodes": ("nodes", more_nodes),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("estimator", TREES, ids=lambda each: type(each).__name__)
def test_a_node_that_does_not_exist_is_found(estimator: Any, name: str) -> None:
    fitted = estimator.fit(ROWS, LABELS)
    check(fitted)
    expected, damage = CHANGES[name]
    trees = trees_in(fitted)
    damage(trees[-1])
    with pytest.raises(ValueError, match=f"^a tree has .*{expected}"):
        check(fitted)


@pytest.mark.parametrize(
    ("field", "value"), [("left", 10**6), ("right", 0), ("feature_idx", 4), ("bitset_idx", 99)]
)
def test_a_node_of_boosting_that_does_not_exist_is_found(field: str, value: int) -> None:
    rows = np.column_stack([RANDOM.integers(0, 5, 200), ROWS])[:, :4]
    labels = np.isin(rows[:, 0], (1, 3)).astype(int)
    fitted = HistGradientBoostingClassifier(max_iter=3, categorical_features=[0])
    fitted.fit(rows, labels)
    check(fitted)
    nodes = fitted._predictors[0][0].nodes
    assert nodes["is_categorical"][0], "the root splits by category"
    nodes[field][0] = value
    with pytest.raises(ValueError, match="^a tree has a .* that does not exist"):
        check(fitted)


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
@pytest.mark.parametrize(
    ("part", "field", "value"),
    [(1, None, 10**6), (2, "idx_end", 10**6), (2, "idx_start", -1), (2, "is_leaf", 0)],
)
def test_a_neighbor_that_does_not_exist_is_found(
    algorithm: str, part: int, field: str | None, value: int
) -> None:
    fitted = KNeighborsClassifier(algorithm=algorithm, leaf_size=9).fit(ROWS, LABELS)
    check_is_fitted(fitted)
    check(fitted)
    state = list(fitted._tree.__getstate__())
    array = state[part].copy()
    (array if field is None else array[field])[-1] = value
    state[part] = array
    fitted._tree.__setstate__(tuple(state))
    with pytest.raises(ValueError, match="^a tree of neighbors refers to"):
        check(fitted)
