"""A scikit-learn pipeline as LitServe's documentation serves a model: one LitAPI."""

import os

import joblib
import litserve as ls
import pandas as pd

from bench.peers.table import COLUMNS


class AdultIncome(ls.LitAPI):
    def setup(self, device):
        self.model = joblib.load(f"{os.environ['PEER_STORE']}/{os.environ['MODEL']}.joblib")

    def decode_request(self, request):
        return pd.DataFrame(request["input"], columns=COLUMNS)

    def predict(self, frame):
        return self.model.predict(frame)

    def encode_response(self, output):
        return {"output": output.tolist()}


if __name__ == "__main__":
    server = ls.LitServer(
        AdultIncome(), accelerator="cpu", workers_per_device=int(os.environ["WORKERS"])
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )
