"""Our predict function in a custom MLServer runtime. Its users need no code: mlserver-sklearn."""

import os

from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

from utils.encode_decode import init_model
from utils.model import Model


class AdultIncome(MLModel):
    async def load(self) -> bool:
        self.model = Model(init_model(os.environ["MODEL"]))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        columns = [column.data.root for column in payload.inputs]
        found = self.model.predict(list(map(list, zip(*columns))))["predictions"]
        output = ResponseOutput(name="predict", shape=[len(found), 1], datatype="INT64", data=found)
        return InferenceResponse(model_name=self.name, outputs=[output])
