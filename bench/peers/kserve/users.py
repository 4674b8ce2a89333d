"""A scikit-learn pipeline as a custom model in KServe's manual: kserve.Model, V1 protocol."""

import os

import joblib
import kserve
import pandas as pd

from bench.peers.table import COLUMNS


class AdultIncome(kserve.Model):
    def __init__(self, name):
        super().__init__(name)
        self.load()

    def load(self):
        self.model = joblib.load(f"{os.environ['PEER_STORE']}/{os.environ['MODEL']}.joblib")
        self.ready = True

    def predict(self, payload, headers=None):
        frame = pd.DataFrame(payload["instances"], columns=COLUMNS)
        return {"predictions": self.model.predict(frame).tolist()}


if __name__ == "__main__":
    kserve.ModelServer().start([AdultIncome("adult_income")])
