"""A predict function that draws random numbers from every kind of generator."""

import os
import random

import numpy as np

random.seed(1)
np.random.seed(1)
OWN = random.Random(1)
GENERATOR = np.random.default_rng(1)
STATE = np.random.RandomState(1)


def draw(msg):
    """Draw a number from each generator."""
    drawn = {
        "random": random.random(),
        "numpy": np.random.rand(),
        "own": OWN.random(),
        "generator": GENERATOR.random(),
        "state": STATE.rand(),
    }
    return {"drawn": drawn, "pid": os.getpid()}
