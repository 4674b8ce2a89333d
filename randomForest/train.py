"""Train adult_income_rf, a random forest with a limited depth.

It is smaller and more accurate than a forest without the limit.
"""

from sklearn.ensemble import RandomForestClassifier

from common_utils.train_utils import train_model


def train(msg):
    """Write models/adult_income_rf.pkl from `msg.payload`; return its metrics."""
    estimator = RandomForestClassifier(
        n_estimators=40,
        max_depth=14,
        min_samples_leaf=3,
        max_features=0.4,
        n_jobs=-1,
        random_state=0,
    )
    return train_model(msg, estimator, "Random forest of income over 50K")
