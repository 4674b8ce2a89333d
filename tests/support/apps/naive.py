"""Naive servers, which must fail in the tests: `python -m naive KIND`.

document  trusts the body and opens a pickle for each request, as the document's own handler does
pool      sends requests to a pool of processes, which breaks if one of them is killed
stock     the predict server's application under gunicorn with uvicorn's worker: no drain
sync      the function of ROUTES in Flask, under gunicorn with one sync worker
"""

import importlib
import os
import pickle
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from flask import Flask, request

FILE = Path("models/naive.pkl")


def document() -> Flask:
    """Return the app whose handler opens the model for each request."""
    import pandas as pd

    app = Flask("naive")
    if FILE.exists():
        # Imports scikit-learn before the first request.
        pickle.loads(FILE.read_bytes())

    @app.post("/predict")
    def predict() -> dict[str, Any]:
        rows = request.get_json()["payload"]["instances"]
        with open(FILE, "rb") as file:
            model = pickle.load(file)
        return {"payload": {"predictions": model.predict(pd.DataFrame(rows)).tolist()}}

    return app


def work(seconds: float) -> dict[str, Any]:
    """Sleep for some seconds and name the process."""
    time.sleep(seconds)
    return {"pid": os.getpid()}


def pool() -> Flask:
    """Return the app whose handler waits for a process of a pool."""
    app = Flask("naive")
    executor = ProcessPoolExecutor(2)

    @app.post("/work")
    def answer() -> dict[str, Any]:
        return {"payload": executor.submit(work, request.get_json()["payload"]).result()}

    return app


def behind_flask() -> Flask:
    """Return the app whose handler calls the function of ROUTES."""
    path, module, name = os.environ["ROUTES"].split(":")
    function = getattr(importlib.import_module(module), name)
    app = Flask("naive")

    @app.post(f"/{path}")
    def answer() -> dict[str, Any]:
        message = SimpleNamespace(payload=request.get_json()["payload"])
        return {"payload": function(message)}

    return app


def front() -> Any:
    """Return the predict server's ASGI application."""
    from runtime.serve import load_app
    from runtime.settings import read_settings

    return load_app(os.environ, read_settings(os.environ))


def become_gunicorn(application: str, *options: str) -> NoReturn:
    """Replace this process by gunicorn, which imports `application` from here."""
    bind = f"127.0.0.1:{os.environ['PORT']}"
    command = ["-m", "gunicorn", "--bind", bind, "--no-control-socket", *options, application]
    os.execv(sys.executable, [sys.executable, *command])


def serve(kind: str) -> None:
    """Serve an app of some kind until a signal ends it."""
    if kind == "stock":
        worker = ("--worker-class", "uvicorn_worker.UvicornWorker")
        many = ("--workers", os.environ["WORKERS"], "--graceful-timeout", "3")
        become_gunicorn("naive:front()", *worker, *many)
    if kind == "sync":
        become_gunicorn("naive:behind_flask()")

    create_app = {"document": document, "pool": pool}[kind]
    create_app().run("127.0.0.1", int(os.environ["PORT"]), threaded=True)


if __name__ == "__main__":
    serve(sys.argv[1])
