"""An application that reads its own file, models/own.txt, at import."""

import os

with open("models/own.txt") as file:
    CONTENT = file.read()


def content(msg):
    """Answer with the file's content, and the worker."""
    return {"content": CONTENT, "pid": os.getpid()}
