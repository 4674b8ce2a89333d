"""Convert a fitted classifier to ONNX, the form of an estimator in a model file."""

from typing import Any

from utils.errors import ModelFileError

# The newest operator set that skl2onnx 1.20 and onnxmltools 1.16 both write.
OPSET = 15


def to_onnx(estimator: Any, width: int) -> bytes:
    """Return the ONNX model of a fitted scikit-learn or xgboost classifier.

    Its input is a matrix of `width` float32 columns. Its outputs are the label (one per row) and
    the probabilities (rows x classes).
    Raises ModelFileError, which names an alternative, if the estimator can't be converted.
    """
    name = type(estimator).__name__
    convert = _from_xgboost if type(estimator).__module__.startswith("xgboost") else _from_sklearn
    try:
        # The converters' default name is random. With it, two trainings would give different files.
        graph = convert(estimator, name, width)
    # The converters raise many types of exceptions.
    except Exception as error:
        raise ModelFileError(
            f"{name} cannot be converted to ONNX ({error}). "
            "Save it yourself in train.py and load it in your own predict.py "
            "(docs/model-files.md, 'A model that cannot be converted')"
        ) from error
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def _from_sklearn(estimator: Any, name: str, width: int) -> Any:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    rows = [("rows", FloatTensorType([None, width]))]
    return convert_sklearn(
        estimator, name, rows, options={id(estimator): {"zipmap": False}}, target_opset=OPSET
    )


def _from_xgboost(estimator: Any, name: str, width: int) -> Any:
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    return convert_xgboost(
        estimator, name, [("rows", FloatTensorType([None, width]))], target_opset=OPSET
    )
