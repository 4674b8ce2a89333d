"""Convert estimators to the forms in which a model file holds them."""
