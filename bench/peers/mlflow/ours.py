"""Our predict function as an MLflow model. Its users need no code: mlflow.sklearn."""

import os

import mlflow


class AdultIncome(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        from utils.encode_decode import init_model
        from utils.model import Model

        self.model = Model(init_model(os.environ["MODEL"]))

    def predict(self, context, model_input, params=None):
        return self.model.predict(model_input.values.tolist())["predictions"]


mlflow.models.set_model(AdultIncome())
