"""A scikit-learn pipeline as Seldon's Python wrapper serves one: a class with load and predict."""

import os

import joblib
import pandas as pd

from bench.peers.table import NUMBERS


class AdultIncome:
    def load(self):
        self.model = joblib.load(f"{os.environ['PEER_STORE']}/{os.environ['MODEL']}.joblib")

    def predict(self, X, features_names=None):
        frame = pd.DataFrame(
            X, columns=features_names
        )  # all text: the wrapper puts a mixed ndarray into one array
        return self.model.predict(frame.astype(dict.fromkeys(NUMBERS, float)))
