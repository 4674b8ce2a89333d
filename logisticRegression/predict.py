"""Answers POST /adult_income_lr/predict."""

from utils.serving import served


@served("adult_income_lr")
def predict_adult_income_lr(msg, model):
    """Returns predictions, scores (rows x labels) and labels for `msg.payload["instances"]`."""
    return model.answer(msg)
