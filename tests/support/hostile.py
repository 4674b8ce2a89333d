"""Classifiers that harm the process that loads them or calls them.

This module defines Aborts, Waits, AbortsOnRow.
"""

import os
import time
from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeClassifier

GREAT = 1e6


class Aborts(DecisionTreeClassifier):
    """A tree that ends the process that loads it."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        os.abort()


class Waits(DecisionTreeClassifier):
    """A tree that is never loaded completely."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        time.sleep(3600)


class AbortsOnRow(DecisionTreeClassifier):
    """A tree that ends the process if the first number of a row is great."""

    def predict(self, rows: np.ndarray, check_input: bool = True) -> np.ndarray:
        if (rows[:, 0] > GREAT).any():
            os.abort()
        return super().predict(rows, check_input)
