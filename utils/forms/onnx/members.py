"""Let skl2onnx convert xgboost and LightGBM as members of another estimator."""

from __future__ import annotations

from typing import Any

from utils.forms.onnx import graph

# Without the version of the second domain, skl2onnx rejects the nodes of these converters.
OPSETS = {"": graph.OPSET, "ai.onnx.ml": graph.ML_OPSET}
CLASSIFIER_OPTIONS = {"nocl": [True, False], "zipmap": [True, False, "columns"]}


def register_members(estimator: Any) -> bool:
    """Register the converters of the members' libraries; return whether there are any."""
    members = estimator.get_params(deep=True).values()
    libraries = {type(member).__module__.partition(".")[0] for member in members}
    if "xgboost" in libraries:
        register_xgboost()
    if "lightgbm" in libraries:
        register_lightgbm()
    return bool(libraries & {"xgboost", "lightgbm"})


def register_xgboost() -> None:
    """Register the converter of xgboost."""
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    from xgboost import XGBClassifier, XGBRegressor

    register(XGBClassifier, XGBRegressor, convert_xgboost, {})


def register_lightgbm() -> None:
    """Register the converter of LightGBM."""
    from lightgbm import LGBMClassifier, LGBMRegressor
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    register(LGBMClassifier, LGBMRegressor, convert_lightgbm, {"split": None})


def register(classifier: type, regressor: type, convert: Any, options: dict[str, Any]) -> None:
    """Register a converter of classifiers and regressors."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator

    shapes = shape_calculator.calculate_linear_classifier_output_shapes
    update_registered_converter(
        classifier, classifier.__name__, shapes, convert, options=CLASSIFIER_OPTIONS
    )
    shapes = shape_calculator.calculate_linear_regressor_output_shapes
    update_registered_converter(regressor, regressor.__name__, shapes, convert, options=options)
