"""Answer POST /adult_income_xgb/predict."""

from utils.serving import served


@served("adult_income_xgb")
def predict_adult_income_xgb(msg, model):
    """Return predictions, scores (rows x labels) and labels of the instances."""
    return model.answer(msg)
