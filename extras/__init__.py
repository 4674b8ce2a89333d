"""Tools for developers and operators, which are not part of an image."""
