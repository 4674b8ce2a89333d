"""A scikit-learn pipeline on a DataFrame as a predict function of our own server."""

import os

import joblib
import pandas as pd

from bench.peers.table import COLUMNS

model = joblib.load(f"{os.environ['PEER_STORE']}/{os.environ['MODEL']}.joblib")


def predict(msg):
    return {
        "predictions": model.predict(
            pd.DataFrame(msg.payload["instances"], columns=COLUMNS)
        ).tolist()
    }
