"""Answers POST /adult_income_xgb/predict."""

from utils.serving import served


@served("adult_income_xgb")
def predict_adult_income_xgb(msg, model):
    """Returns predictions, scores (rows x labels) and labels for `msg.payload["instances"]`."""
    return model.answer(msg)
