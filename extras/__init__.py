"""Tools for people around the models; never part of an image."""
