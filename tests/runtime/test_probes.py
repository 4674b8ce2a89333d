"""The probes over real connections: /health, /ready and their methods."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.model_server import model_server
from support.models import MODEL_DIRS, file_digest, model_file, setting
from support.server import PATHS, Server, error_in


@pytest.fixture(scope="module")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of every model and of a function without a model."""
    with model_server(tmp_path_factory.mktemp("probes"), trained, "echo") as server:
        yield server.wait_until_ready()


def test_health_page_says_only_that_the_server_is_alive(server: Server) -> None:
    response = server.get("/health")

    assert response.status_code == 200
    assert response.content == b'{"status":"alive"}'


def test_ready_page_names_every_model(server: Server, trained: Path) -> None:
    expected: dict[str, dict[str, str]] = {"/echo": {}}
    for model in MODEL_DIRS:
        content = model_file(trained, model).read_bytes()
        expected[PATHS[model]] = {
            "model": setting(model, "MODEL_NAME"),
            "digest": file_digest(content),
        }

    response = server.get("/ready")

    assert response.status_code == 200
    assert response.json() == {"status": "ready", "routes": expected}


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
def test_probe_accepts_get_and_head_only(server: Server, path: str) -> None:
    for method in ("POST", "DELETE"):
        response = server.request(method, path)
        assert response.status_code == 405
        assert response.headers["Allow"] == "GET, HEAD"
        assert error_in(response)["message"] == f"expected GET, HEAD, found {method}"

    assert server.get(path).status_code == 200
    head = server.request("HEAD", path)
    assert head.status_code == 200
    assert head.content == b""
