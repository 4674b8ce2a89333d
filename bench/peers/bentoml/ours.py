"""Our predict function in a BentoML service, same request."""

import os
from typing import Any

import bentoml

from utils.encode_decode import init_model
from utils.model import Model


@bentoml.service(workers=int(os.environ["WORKERS"]), logging={"access": {"enabled": False}})
class AdultIncome:
    def __init__(self):
        self.model = Model(init_model(os.environ["MODEL"]))

    @bentoml.api
    def predict(self, frame: list[dict[str, Any]]) -> list[int]:
        return self.model.predict(frame)["predictions"]
