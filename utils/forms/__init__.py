"""The forms in which a model file holds an estimator."""
