"""The document's method: Flask, a pickle with parts, encoders fitted per request."""

import os
import pickle

import numpy as np
import pandas as pd
from flask import Flask, jsonify, request
from sklearn.preprocessing import LabelEncoder, OneHotEncoder

with open(f"{os.environ['PEER_STORE']}/{os.environ['MODEL']}.pkl", "rb") as file:
    parts = pickle.load(file)
app = Flask(__name__)


def encode(column, categories):
    """One-hot columns of one column: label codes first, as OneHotEncoder once needed."""
    labels = LabelEncoder().fit(categories)
    onehot = OneHotEncoder(sparse_output=False).fit(labels.transform(categories).reshape(-1, 1))
    return onehot.transform(labels.transform(column).reshape(-1, 1))


@app.post("/adult_income/predict")
def predict():
    frame = pd.DataFrame(request.get_json()["payload"]["instances"], columns=parts["columns"])
    encoded = [encode(frame[name], categories) for name, categories in parts["categories"].items()]
    matrix = np.hstack([*encoded, frame[parts["numbers"]].to_numpy()])
    return jsonify(
        {
            "payload": {
                "predictions": parts["model"].predict(parts["scaler"].transform(matrix)).tolist()
            }
        }
    )
