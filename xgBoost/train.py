"""Train adult_income_xgb, gradient-boosted trees.

Each tree uses a quarter of the columns.
"""

from xgboost import XGBClassifier

from common_utils.train_utils import train_model


def train(msg):
    """Write models/adult_income_xgb.pkl from `msg.payload`; return its metrics."""
    estimator = XGBClassifier(
        n_estimators=100,
        learning_rate=0.2,
        max_depth=6,
        subsample=0.9,
        colsample_bytree=0.25,
        random_state=0,
    )
    return train_model(msg, estimator, "Gradient-boosted trees of income over 50K")
