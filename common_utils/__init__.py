"""Code that all models of this project use to train."""
