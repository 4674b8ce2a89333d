"""$ref and model_name that point elsewhere: rejected, nothing opened or written."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from runtime.message import Message
from sklearn.tree import DecisionTreeClassifier
from support.commands import ROOT
from support.figures import Figure

from common_utils.train_utils import train_model
from utils.encode_decode import init_model
from utils.errors import ModelFileError, TrainingError

CANARY = "never-to-be-seen"
CANARY_TABLE = f"{CANARY}\n1\n"


class CanaryHandler(BaseHTTPRequestHandler):
    """Answers each GET with the canary's table, and counts them."""

    server: "CanaryServer"

    def do_GET(self) -> None:
        """Answer a GET; http.server gives the method its name."""
        self.server.requests += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(CANARY_TABLE.encode())

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


class CanaryServer(HTTPServer):
    """A server on this machine that must get no request."""

    requests = 0

    @property
    def url(self) -> str:
        """The address of its table."""
        return f"http://127.0.0.1:{self.server_address[1]}/t.csv"


@pytest.fixture
def canary_server() -> Iterator[CanaryServer]:
    """A running server of the canary."""
    with CanaryServer(("127.0.0.1", 0), CanaryHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A train container's directory, with links to a canary and a pipe outside."""
    project = tmp_path / "project"
    outside = tmp_path / "outside"
    for folder in (project / "data/sub", project / "models", outside):
        folder.mkdir(parents=True)

    (outside / "t.csv").write_text(CANARY_TABLE)
    # A process that opens the pipe hangs.
    os.mkfifo(outside / "pipe.csv")

    for name in ("t.csv", "pipe.csv"):
        (project / "data" / f"link-{name}").symlink_to(outside / name)
    (project / "data/folder").symlink_to(outside)
    (project / "data/link-to-link.csv").symlink_to("link-t.csv")
    (project / "datafake").symlink_to(outside)

    monkeypatch.chdir(project)
    monkeypatch.setenv("HOME", str(outside))
    return project


def readable(project: Path, url: str) -> list[str]:
    """Return references to the canary that pandas can read."""
    outside = project.parent / "outside" / "t.csv"
    return [
        str(outside),
        "../outside/t.csv",
        "data/../../outside/t.csv",
        "data/sub/../../../outside/t.csv",
        "data/./../../outside/./t.csv",
        "data/link-t.csv",
        "data/link-to-link.csv",
        "data/folder/t.csv",
        "datafake/t.csv",
        "~/t.csv",
        f"file://{outside}",
        f"file://localhost{outside}",
        f"FILE://{outside}",
        url,
        url.replace("/t.csv", "/data/t.csv"),
        url.replace("127.0.0.1", "localhost"),
    ]


UNREADABLE = [
    "",
    ".",
    "data",
    "data/",
    "data/..",
    "data/sub",
    "data/link-pipe.csv",
    "../outside/pipe.csv",
    "s3://bucket/t.csv",
    "gs://bucket/t.csv",
    "ftp://127.0.0.1/t.csv",
    "https://127.0.0.1/t.csv",
    "data/t.csv\0.csv",
    "data/" + "a" * 300,
    "data/" + "a/" * 5000 + "t.csv",
    "data\\..\\..\\outside\\t.csv",
    "%2e%2e/outside/t.csv",
    "data/t.csv\n",
    "/proc/self/environ",
    "/dev/stdin",
    "/dev/zero",
]


def refusal(reference: Any, name: Any = "m") -> str:
    """Return the reason why training rejects a message."""
    message = Message(payload={"$ref": reference, "model_name": name})
    with pytest.raises((TrainingError, ModelFileError)) as caught:
        train_model(message, DecisionTreeClassifier(), "A test")
    assert caught.value.exit_code == 78
    return str(caught.value)


def is_read_by_pandas(reference: str) -> bool:
    """Return whether a plain read_csv, as in the document, reads the canary."""
    try:
        return CANARY in pd.read_csv(reference)
    except (OSError, ValueError):
        return False


def test_references_that_lead_elsewhere_are_refused_unread(
    project: Path,
    canary_server: CanaryServer,
    capsys: pytest.CaptureFixture[str],
    figure: Figure,
) -> None:
    canaries = readable(project, canary_server.url)
    references = [*canaries, *UNREADABLE]
    texts = [refusal(reference) for reference in references]
    texts += capsys.readouterr()
    assert [text for text in texts if CANARY in text] == []
    assert canary_server.requests == 0
    assert os.listdir("models") == []

    naive = sum(is_read_by_pandas(reference) for reference in canaries)
    assert naive >= 12
    assert canary_server.requests == 3
    figure(
        f"$ref that lead elsewhere: {len(references)}",
        "all refused, 0 files and 0 addresses opened",
        f"read_csv reads {naive} of the {len(canaries)} that are there",
    )


NAMES = [
    "..",
    "../m",
    "/m",
    "a/b",
    "a\\b",
    "",
    ".",
    ".m",
    "m.pkl",
    "m\n",
    "m\0",
    "a" * 64,
    "a" * 100_000,
    "M",
    "ｍ",
    "m m",
    "http://127.0.0.1/m",
    "-rf",
    "$(id)",
    "`id`",
    "m;id",
    "%2e%2e",
    "~",
    "*",
]


def test_names_that_lead_elsewhere_are_refused_and_nothing_is_written(
    project: Path, figure: Figure
) -> None:
    data = (ROOT / "data/adult_income-prepped.csv").read_bytes()
    (project / "data/t.csv").write_bytes(data)
    before = sorted(project.parent.rglob("*"))
    for name in NAMES:
        assert "is not valid: expected 1 to 63 of a-z, 0-9, _ and -" in refusal("data/t.csv", name)
        with pytest.raises(ModelFileError, match="is not valid"):
            init_model(name)
    assert sorted(project.parent.rglob("*")) == before

    elsewhere = sum(leaves_models(name) for name in NAMES)
    assert elsewhere > 0
    figure(
        f"model_name that lead elsewhere: {len(NAMES)}",
        "all refused, nothing written",
        f"joined: {elsewhere} leave",
    )


def leaves_models(name: str) -> bool:
    """Return whether a path joined without a check is outside models/."""
    joined = Path(os.path.abspath(f"models/{name}.pkl"))
    return joined.parent != Path("models").resolve()
