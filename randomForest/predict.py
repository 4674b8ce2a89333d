"""Answers POST /adult_income_rf/predict."""

from utils.serving import served


@served("adult_income_rf")
def predict_adult_income_rf(msg, model):
    """Returns predictions, scores (rows x labels) and labels for `msg.payload["instances"]`."""
    return model.answer(msg)
