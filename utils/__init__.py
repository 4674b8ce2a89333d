"""Share among all models: the model file, the table encoder, serving."""
