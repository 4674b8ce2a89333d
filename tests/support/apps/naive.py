"""The naive ways, as real servers that tests must see fail: `python -m naive document`, `stock` or `pool`.

`document` answers as the document's own handler does: the body is believed, and a pickle is opened for each request.
`stock` is the daemon's own front under gunicorn with uvicorn's worker as it comes: it stops without a drain.
`pool` hands requests to a pool of processes, which doesn't outlive one of them.
"""

import os
import pickle
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from flask import Flask, request

FILE = Path("models/naive.pkl")
ROWS = 2_000


def train() -> bytes:
    """A pickled pipeline."""
    from sklearn.tree import DecisionTreeClassifier

    from common_utils.train_utils import LABEL, make_pipeline, read_table

    table = read_table(Path("data/adult_income-prepped.csv")).head(ROWS)
    pipeline = make_pipeline(DecisionTreeClassifier(max_depth=8), "raw", table)
    return pickle.dumps(pipeline.fit(table.drop(columns=LABEL), table[LABEL]))


def document() -> Flask:
    """The app whose handler opens the model for each request."""
    import pandas as pd

    app = Flask("naive")
    if FILE.exists():
        pickle.loads(FILE.read_bytes())  # imports scikit-learn before the first request

    @app.post("/predict")
    def predict() -> dict[str, Any]:
        rows = request.get_json()["payload"]["instances"]
        with open(FILE, "rb") as file:
            model = pickle.load(file)
        return {"payload": {"predictions": model.predict(pd.DataFrame(rows)).tolist()}}

    return app


def work(seconds: float) -> dict[str, Any]:
    time.sleep(seconds)
    return {"pid": os.getpid()}


def pool() -> Flask:
    """The app whose handler waits for a process of a pool."""
    app = Flask("naive")
    executor = ProcessPoolExecutor(2)

    @app.post("/work")
    def answer() -> dict[str, Any]:
        return {"payload": executor.submit(work, request.get_json()["payload"]).result()}

    return app


def stock() -> Flask:
    """Becomes gunicorn, which asks this module for `front`."""
    options = f"--bind 127.0.0.1:{os.environ['PORT']} --workers {os.environ['WORKERS']} --graceful-timeout 3"
    words = [*options.split(), "--worker-class", "uvicorn_worker.UvicornWorker", "naive:front()"]
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *words])


def front() -> Any:
    """The daemon's ASGI application."""
    from runtime.serve import prepare, read_settings

    return prepare(os.environ, read_settings(os.environ))


if __name__ == "__main__":
    make = {"document": document, "stock": stock, "pool": pool}[sys.argv[1]]
    make().run("127.0.0.1", int(os.environ["PORT"]), threaded=True)
