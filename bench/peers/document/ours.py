"""Our predict function in the document's server."""

import os

from flask import Flask, jsonify, request

from utils.encode_decode import init_model
from utils.model import Model

model = Model(init_model(os.environ["MODEL"]))
app = Flask(__name__)


@app.post("/adult_income/predict")
def predict():
    return jsonify({"payload": model.predict(request.get_json()["payload"]["instances"])})
