"""Our predict function in Seldon's Python wrapper: predict_raw gets the request as it is."""

import os

from utils.encode_decode import init_model
from utils.model import Model


class AdultIncome:
    def load(self):
        self.model = Model(init_model(os.environ["MODEL"]))

    def predict_raw(self, request):
        return {"data": {"ndarray": self.model.predict(request["data"]["ndarray"])["predictions"]}}
