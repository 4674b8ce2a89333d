"""$ref and model_name that lead elsewhere: refused, and nothing there is opened, asked for or written."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import ROOT
from runtime.message import Message
from sklearn.tree import DecisionTreeClassifier
from support.figures import Figure

from common_utils.train_utils import TrainingError, train_model
from utils.encode_decode import ModelFileError, init_model

CANARY = "never-to-be-seen"


class Listener(HTTPServer):
    """Serves a CSV to whoever asks and counts them."""

    asked = 0

    class RequestHandlerClass(BaseHTTPRequestHandler):  # noqa: N801 - the name that HTTPServer looks for
        def do_GET(self) -> None:
            Listener.asked += 1
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"{CANARY}\n1\n".encode())

        def log_message(self, *_: Any) -> None: ...

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), self.RequestHandlerClass)


@pytest.fixture
def listener() -> Iterator[str]:
    """The address of a listener on this machine, which nothing should ask."""
    Listener.asked = 0
    server = Listener()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/t.csv"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A train container's working directory, with a canary and a pipe outside data/, and links to them inside."""
    for folder in ("project/data/sub", "project/models", "outside"):
        (tmp_path / folder).mkdir(parents=True)
    project = tmp_path / "project"
    (tmp_path / "outside" / "t.csv").write_text(f"{CANARY}\n1\n")
    os.mkfifo(tmp_path / "outside" / "pipe.csv")  # whoever opens it hangs
    for name in ("t.csv", "pipe.csv"):
        (project / "data" / f"link-{name}").symlink_to(tmp_path / "outside" / name)
    (project / "data" / "folder").symlink_to(tmp_path / "outside")
    (project / "data" / "link-to-link.csv").symlink_to("link-t.csv")
    (project / "datafake").symlink_to(tmp_path / "outside")
    monkeypatch.chdir(project)
    monkeypatch.setenv("HOME", str(tmp_path / "outside"))
    return project


def readable(project: Path, listener: str) -> list[str]:
    """References that pandas would read: the canary, by many ways."""
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
        listener,
        listener.replace("/t.csv", "/data/t.csv"),
        listener.replace("127.0.0.1", "localhost"),
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
    """Why a message is refused."""
    with pytest.raises((TrainingError, ModelFileError)) as caught:
        train_model(
            Message(payload={"$ref": reference, "model_name": name}),
            DecisionTreeClassifier(),
            "A test",
        )
    assert caught.value.exit_code == 78
    return str(caught.value)


def reads(reference: str) -> bool:
    """Whether the document's own line, a plain read_csv, gets the canary."""
    try:
        return CANARY in pd.read_csv(reference)
    except (OSError, ValueError):
        return False


def test_references_that_lead_elsewhere_are_refused_unread(
    project: Path, listener: str, capsys: pytest.CaptureFixture[str], figure: Figure
) -> None:
    references = [*readable(project, listener), *UNREADABLE]
    said = [refusal(reference) for reference in references]
    assert not any(CANARY in words for words in (*said, *capsys.readouterr()))
    assert (Listener.asked, os.listdir("models")) == (0, [])
    naive = [reference for reference in readable(project, listener) if reads(reference)]
    assert len(naive) >= 12 and Listener.asked == 3
    told = f"read_csv reads {len(naive)} of the {len(readable(project, listener))} that are there"
    figure(
        f"$ref that lead elsewhere: {len(references)}",
        "all refused, 0 files and 0 addresses opened",
        told,
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
]
NAMES += ["http://127.0.0.1/m", "-rf", "$(id)", "`id`", "m;id", "%2e%2e", "~", "*"]


def test_names_that_lead_elsewhere_are_refused_and_nothing_is_written(
    project: Path, figure: Figure
) -> None:
    (project / "data" / "t.csv").write_bytes(
        (ROOT / "data" / "adult_income-prepped.csv").read_bytes()
    )
    before = sorted(path for path in project.parent.rglob("*"))
    for name in NAMES:
        assert "is not one: expected 1 to 63 of a-z, 0-9, _ and -" in refusal("data/t.csv", name)
        with pytest.raises(ModelFileError, match="is not one"):
            init_model(name)
    assert sorted(path for path in project.parent.rglob("*")) == before
    elsewhere = [name for name in NAMES if naive_path(name)]
    assert elsewhere
    figure(
        f"model_name that lead elsewhere: {len(NAMES)}",
        "all refused, nothing written",
        f"joined: {len(elsewhere)} leave",
    )


def naive_path(name: str) -> bool:
    """Whether a name that is simply joined leads out of models/."""
    return (
        Path("models").resolve()
        != Path(os.path.normpath(os.path.abspath(f"models/{name}.pkl"))).parent
    )
