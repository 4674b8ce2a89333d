"""Our predict function in a kserve.Model."""

import os

import kserve

from utils.encode_decode import init_model
from utils.model import Model


class AdultIncome(kserve.Model):
    def __init__(self, name):
        super().__init__(name)
        self.load()

    def __reduce__(
        self,
    ):  # KServe pickles the model for its workers; an ONNX Runtime session can't be
        return AdultIncome, (self.name,)

    def load(self):
        self.model = Model(init_model(os.environ["MODEL"]))
        self.ready = True

    def predict(self, payload, headers=None):
        return {"predictions": self.model.predict(payload["instances"])["predictions"]}


if __name__ == "__main__":
    kserve.ModelServer().start([AdultIncome("adult_income")])
