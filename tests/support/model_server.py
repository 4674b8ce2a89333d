"""model_server: a predict server of every trained model and of sample functions."""

from pathlib import Path

from support.applications import routes, write_application
from support.server import ALL_ROUTES, Server


def model_server(directory: Path, trained: Path, *functions: str, **variables: str) -> Server:
    """Return a server of every model in `trained` and of functions of apps/app.py.

    `directory` is a new folder for the server to run in.
    """
    write_application(directory)
    (directory / "models").symlink_to(trained / "models")
    entries = f"{ALL_ROUTES},{routes(*functions)}"
    return Server(directory, entries, **variables)
