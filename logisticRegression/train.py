"""Trains adult_income_lr: a logistic regression on one-hot categories and binned numbers."""

from sklearn.linear_model import LogisticRegression

from common_utils.train_utils import train_model


def train(msg):
    """Writes models/adult_income_lr.pkl from `msg.payload`; returns its metrics."""
    estimator = LogisticRegression(C=20, solver="newton-cg")
    return train_model(msg, estimator, "Logistic regression of income over 50K", numbers="binned")
