"""Answer POST /adult_income_rf/predict."""

from utils.serving import served


@served("adult_income_rf")
def predict_adult_income_rf(msg, model):
    """Return predictions, scores (rows x labels) and labels of the instances."""
    return model.answer(msg)
