"""Our predict function in a LitAPI."""

import os

import litserve as ls

from utils.encode_decode import init_model
from utils.model import Model


class AdultIncome(ls.LitAPI):
    def setup(self, device):
        self.model = Model(init_model(os.environ["MODEL"]))

    def decode_request(self, request):
        return request["input"]

    def predict(self, rows):
        return self.model.predict(rows)

    def encode_response(self, output):
        return {"output": output["predictions"]}


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
