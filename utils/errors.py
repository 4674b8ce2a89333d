"""The errors of training and of model files.

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

# The exceptions of converters can print all trees.
MESSAGE_LENGTH = 200


class ModelFileError(Exception):
    """A model file or key that is missing, invalid or of another origin.

    The message names the problem and what to do.
    """

    # The train runner exits with this code, which is EX_CONFIG of sysexits.h.
    exit_code = 78


class TrainingError(ValueError):
    """A payload or data that can't be used for training.

    The message names the problem and what to do.
    """

    # The train runner exits with this code, which is EX_CONFIG of sysexits.h.
    exit_code = 78


def reason(error: BaseException) -> str:
    """Return the text of another library's exception, in one line of limited length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.rstrip(".") if len(text) <= MESSAGE_LENGTH else f"{text[:MESSAGE_LENGTH]}…"
