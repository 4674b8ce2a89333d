# Generated from the model directories by `make -C all generate`; don't edit.
"""All models' predict functions, for the routes of the combined image."""

from .logisticRegression.predict import predict_adult_income_lr
from .randomForest.predict import predict_adult_income_rf
from .xgBoost.predict import predict_adult_income_xgb

__all__ = [
    "predict_adult_income_lr",
    "predict_adult_income_rf",
    "predict_adult_income_xgb",
]
