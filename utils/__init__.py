"""Code that all models share: the model file, the table encoder, serving."""
