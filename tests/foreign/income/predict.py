"""Answer with the classifier. Its pickle is loaded when this module is imported."""

import os
import pickle

import pandas as pd

from .train import CATEGORIES

NAME = os.environ.get("MODElNAME", "foreign")  # noqa: SIM112  # the document's own spelling

with open(f"models/{NAME}.pkl", "rb") as opened:
    MODEL = pickle.load(opened)


def predict_income(msg):
    rows = pd.DataFrame(msg.payload["instances"])
    classes = MODEL["classifier"].predict(MODEL["encoder"].transform(rows[CATEGORIES]))
    return {"predictions": MODEL["answer"].inverse_transform(classes).tolist()}
