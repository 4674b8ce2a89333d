"""Conversion of estimators to the forms that a model file can contain."""
