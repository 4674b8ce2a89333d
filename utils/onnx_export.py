"""A fitted classifier as ONNX: the only form in which an estimator goes into a model file."""

from typing import Any

from utils.encode_decode import ModelFileError

# The newest operator set that skl2onnx 1.20 and onnxmltools 1.16 both write.
OPSET = 15


def to_onnx(estimator: Any, width: int) -> bytes:
    """The ONNX model of a fitted scikit-learn or xgboost classifier that takes a matrix of `width` float32 columns.

    Its outputs are the label (one per row) and the probabilities (rows x classes).
    Raises ModelFileError for an estimator that can't be converted, with the way out.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    inputs = [("rows", FloatTensorType([None, width]))]
    name = type(estimator).__name__  # a name of our own: the default one is random, and files would differ
    try:
        if type(estimator).__module__.startswith("xgboost"):
            from onnxmltools import convert_xgboost
            from onnxmltools.convert.common.data_types import FloatTensorType as XgboostTensor

            graph = convert_xgboost(estimator, name, [("rows", XgboostTensor([None, width]))], target_opset=OPSET)
        else:
            options = {id(estimator): {"zipmap": False}}
            graph = convert_sklearn(estimator, name, inputs, options=options, target_opset=OPSET)
    except Exception as error:  # the converters raise many kinds
        raise ModelFileError(
            f"{name} can't be converted to ONNX ({error}); save it yourself in train.py and load it "
            "in your own predict.py (README, 'A model that can't be converted')"
        ) from error
    content: bytes = graph.SerializeToString(deterministic=True)
    return content
