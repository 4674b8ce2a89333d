"""Print the contents of a model file, or the imports of a pickle."""
