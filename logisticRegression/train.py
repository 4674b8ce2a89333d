"""Train adult_income_lr, a logistic regression.

Categories are encoded one-hot, and numbers are binned.
"""

from sklearn.linear_model import LogisticRegression

from common_utils.train_utils import train_model


def train(msg):
    """Write models/adult_income_lr.pkl from `msg.payload`; return its metrics."""
    estimator = LogisticRegression(C=20, solver="newton-cg")
    return train_model(msg, estimator, "Logistic regression of income over 50K", numbers="binned")
