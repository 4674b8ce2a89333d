"""Shows what is in a model file or a pickle."""
