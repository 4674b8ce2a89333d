"""Convert a fitted estimator to ONNX, the fast form in a model file.

Each library has a module, which imports its converter.
"""

from importlib import import_module
from typing import Any

from utils.errors import ModelFileError, reason

# The module of each library; all others are converted as estimators of scikit-learn.
MODULES = {"xgboost": "xgboost", "lightgbm": "lightgbm", "catboost": "catboost"}


def to_onnx(estimator: Any, width: int, has_missing: bool = False) -> bytes:
    """Return the ONNX model of a fitted estimator.

    Its input is a matrix of `width` float32 columns. The outputs of a classifier are the number of
    the class (one per row) and the probabilities (rows x classes). The output of a regressor is a
    number per row. With `has_missing`, the input can contain NaN.
    Raises ModelFileError with the reason if the estimator can't be converted.
    """
    name = type(estimator).__name__
    try:
        model = convert(estimator, width, has_missing)
    # The converters raise many types of exceptions.
    except Exception as error:
        raise ModelFileError(f"{name} cannot be converted to ONNX ({reason(error)})") from error
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def convert(estimator: Any, width: int, has_missing: bool) -> Any:
    """Return the ONNX model of a fitted estimator, as an object."""
    # A search has the best of its estimators.
    estimator = getattr(estimator, "best_estimator_", estimator)
    library = type(estimator).__module__.partition(".")[0]
    module = import_module(f"utils.forms.onnx.{MODULES.get(library, 'scikit_learn')}")
    # The converters' default name is random. With it, two trainings would give different files.
    model = module.convert(estimator, type(estimator).__name__, width)
    if has_missing and module.__name__.endswith("scikit_learn"):
        module.add_missing_branches(estimator, model)
    return model


def without_converter(estimator: Any) -> str:
    """Return why the class of an estimator can't be converted, or an empty text.

    It is known before the estimator is fitted.
    """
    if type(estimator).__name__.endswith("SearchCV"):
        return without_converter(estimator.estimator)
    if type(estimator).__module__.partition(".")[0] in MODULES:
        return ""
    from skl2onnx._supported_operators import sklearn_operator_name_map

    if type(estimator) in sklearn_operator_name_map:
        return ""
    return f"{type(estimator).__name__} has no ONNX form"
