"""Our predict function in our own server: a control, whose ratio must be 1."""

import os

from utils.serving import served


@served(os.environ["MODEL"])
def predict(msg, model):
    return model.answer(msg)
