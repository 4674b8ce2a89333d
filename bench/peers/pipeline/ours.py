"""Our predict function in our own server: what is measured beside it must come out as 1."""

import os

from utils.serving import served


@served(os.environ["MODEL"])
def predict(msg, model):
    return model.answer(msg)
