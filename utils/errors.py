"""Define the error of a model file. Standard library only, Python 3.9."""

from __future__ import annotations


class ModelFileError(Exception):
    """Report a model file or key that is missing, invalid or not ours.

    The message says which, and what to do.
    """

    # EX_CONFIG of sysexits.h: the train runner exits with it.
    exit_code = 78
