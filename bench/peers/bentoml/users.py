"""A scikit-learn pipeline as in BentoML's documentation: a service class that takes a DataFrame."""

import os
from typing import Annotated

import bentoml
import joblib
import pandas as pd
from bentoml.validators import DataframeSchema

from bench.peers.table import COLUMNS


@bentoml.service(workers=int(os.environ["WORKERS"]), logging={"access": {"enabled": False}})
class AdultIncome:
    model_ref = bentoml.models.BentoModel(f"{os.environ['MODEL']}:latest")

    def __init__(self):
        self.model = joblib.load(self.model_ref.path_of("model.joblib"))

    @bentoml.api
    def predict(
        self, frame: Annotated[pd.DataFrame, DataframeSchema(orient="records", columns=COLUMNS)]
    ) -> list[int]:
        return self.model.predict(frame).tolist()
