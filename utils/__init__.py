"""What all models and projects share: the model file, the table encoder, serving."""
