"""Fit a logistic regression, as a data scientist without this repository does."""

import pickle

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import LabelEncoder, OneHotEncoder

CATEGORIES = ["workclass", "education", "marital-status", "occupation", "relationship", "gender"]


def fit(msg):
    data = pd.read_csv(msg.payload["$ref"])
    answer = LabelEncoder().fit(data["income"].map({0: "low", 1: "high"}))
    encoder = OneHotEncoder(handle_unknown="ignore").fit(data[CATEGORIES])
    classifier = LogisticRegression(max_iter=1000)
    classifier.fit(
        encoder.transform(data[CATEGORIES]),
        answer.transform(data["income"].map({0: "low", 1: "high"})),
    )
    with open(f"models/{msg.payload['model_name']}.pkl", "wb") as file:
        pickle.dump({"encoder": encoder, "classifier": classifier, "answer": answer}, file)
    print("trained on", len(data), "rows")
