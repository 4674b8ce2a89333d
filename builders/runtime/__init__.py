"""The Python code of the builder images: train runner and predict server."""
