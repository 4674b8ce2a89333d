"""Convert a fitted estimator to ONNX, the form of an estimator in a model file."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from utils.errors import ModelFileError

# The newest operator set that skl2onnx 1.20 and onnxmltools 1.16 both write.
OPSET = 15
# The converters' exceptions can print all trees.
MESSAGE_LENGTH = 200


def to_onnx(estimator: Any, width: int, has_missing: bool = False) -> bytes:
    """Return the ONNX model of a fitted scikit-learn or xgboost estimator.

    Its input is a matrix of `width` float32 columns. The outputs of a classifier are the number of
    the class (one per row) and the probabilities (rows x classes). The output of a regressor is a
    number per row. With `has_missing`, the input can contain NaN.
    Raises ModelFileError with the reason if the estimator can't be converted.
    """
    name = type(estimator).__name__
    convert = _from_xgboost if type(estimator).__module__.startswith("xgboost") else _from_sklearn
    try:
        # The converters' default name is random. With it, two trainings would give different files.
        graph = convert(estimator, name, width)
        if has_missing:
            _add_missing_branches(estimator, graph)
    # The converters raise many types of exceptions.
    except Exception as error:
        raise ModelFileError(
            f"{name} cannot be converted to ONNX ({str(error)[:MESSAGE_LENGTH]})"
        ) from error
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def _from_sklearn(estimator: Any, name: str, width: int) -> Any:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    rows = [("rows", FloatTensorType([None, width]))]
    options = None
    if hasattr(estimator, "predict_proba"):
        options = {id(estimator): {"zipmap": False}}
    with _integer_attributes():
        return convert_sklearn(estimator, name, rows, options=options, target_opset=OPSET)


@contextmanager
def _integer_attributes() -> Iterator[None]:
    """Let skl2onnx write integers for the branches of missing values.

    For HistGradientBoosting, it writes booleans, which protobuf rejects.
    """
    from skl2onnx.common import tree_ensemble

    original = tree_ensemble.add_node

    def add_node(*arguments: Any, nodes_missing_value_tracks_true: Any = 0, **options: Any) -> None:
        tracks_true = int(nodes_missing_value_tracks_true)
        original(*arguments, nodes_missing_value_tracks_true=tracks_true, **options)

    tree_ensemble.add_node = add_node
    try:
        yield
    finally:
        tree_ensemble.add_node = original


def _add_missing_branches(estimator: Any, graph: Any) -> None:
    """Write the branches for missing values, which skl2onnx leaves out.

    It applies to trees and forests. Without missing values, the branches are not needed, and ONNX
    Runtime is faster without them.
    """
    members = getattr(estimator, "estimators_", [estimator])
    trees = [member.tree_ for member in members if hasattr(member, "tree_")]
    if not trees:
        return
    # The nodes of the graph have the order of the trees and of their nodes.
    branches = np.concatenate([tree.missing_go_to_left for tree in trees])
    for node in graph.graph.node:
        for attribute in node.attribute:
            is_branches = attribute.name == "nodes_missing_value_tracks_true"
            if is_branches and len(attribute.ints) == len(branches):
                attribute.ints[:] = branches.astype(int).tolist()


def _from_xgboost(estimator: Any, name: str, width: int) -> Any:
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    return convert_xgboost(
        estimator, name, [("rows", FloatTensorType([None, width]))], target_opset=OPSET
    )
