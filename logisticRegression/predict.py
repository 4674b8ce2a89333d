"""Answer POST /adult_income_lr/predict."""

from utils.serving import served


@served("adult_income_lr")
def predict_adult_income_lr(msg, model):
    """Return predictions, scores (rows x labels) and labels of the instances."""
    return model.answer(msg)
