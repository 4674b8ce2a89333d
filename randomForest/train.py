"""Trains adult_income_rf: a random forest of bounded depth."""

from sklearn.ensemble import RandomForestClassifier

from common_utils.train_utils import train_model


def train(msg):
    """Writes models/adult_income_rf.pkl from `msg.payload`; returns its metrics."""
    estimator = RandomForestClassifier(
        n_estimators=40,
        max_depth=14,
        min_samples_leaf=3,
        max_features=0.4,
        n_jobs=-1,
        random_state=0,
    )
    return train_model(msg, estimator, "Random forest of income over 50K")
