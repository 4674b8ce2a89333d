"""Trains adult_income_xgb: gradient-boosted trees, a quarter of the columns for each tree."""

from xgboost import XGBClassifier

from common_utils.train_utils import train_model


def train(msg):
    """Writes models/adult_income_xgb.pkl from `msg.payload`; returns its metrics."""
    estimator = XGBClassifier(
        n_estimators=100,
        learning_rate=0.2,
        max_depth=6,
        subsample=0.9,
        colsample_bytree=0.25,
        random_state=0,
    )
    return train_model(msg, estimator, "Gradient-boosted trees of income over 50K")
