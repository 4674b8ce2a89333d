"""/metrics over real connections."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.model_server import model_server
from support.models import MODEL_DIRS, example_rows, list_row
from support.server import PATHS, Metrics, Server

MODEL_PATH = PATHS[MODEL_DIRS[0]]


@pytest.fixture(scope="module")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of every model and of a function without a model."""
    with model_server(tmp_path_factory.mktemp("metrics"), trained, "echo") as server:
        yield server.wait_until_ready()


def metrics_added(before: Metrics, after: Metrics) -> Metrics:
    """Return the increase of each metric that has increased."""
    differences = {name: value - before.get(name, 0) for name, value in after.items()}
    return {name: difference for name, difference in differences.items() if difference}


def test_metrics_count_each_response_once(server: Server) -> None:
    row = example_rows(MODEL_DIRS[0])[0]
    before = server.metrics()

    for rows in (1, 1, 1, 20, 200):
        assert server.predict(MODEL_PATH, [row] * rows).status_code == 200
    for _ in range(2):
        assert server.post(MODEL_PATH, b"{").status_code == 400
    assert server.get(MODEL_PATH).status_code == 405
    assert server.get("/none").status_code == 404

    added = metrics_added(before, server.metrics())
    seconds = added.pop(("predict_latency_seconds_sum", MODEL_PATH))
    assert 0 < seconds < 5
    latency = {name: value for name, value in added.items() if "latency" in name[0]}
    assert latency["predict_latency_seconds_count", MODEL_PATH] == 5
    assert latency["predict_latency_seconds_bucket", MODEL_PATH, "+Inf"] == 5

    others = {name: value for name, value in added.items() if name not in latency}
    assert others == {
        ("predict_requests_total", MODEL_PATH, "200"): 5,
        ("predict_requests_total", MODEL_PATH, "400"): 2,
        ("predict_requests_total", MODEL_PATH, "405"): 1,
        ("predict_batch_size_count", MODEL_PATH): 5,
        ("predict_batch_size_sum", MODEL_PATH): 223,
        ("predict_batch_size_bucket", MODEL_PATH, "1.0"): 3,
        ("predict_batch_size_bucket", MODEL_PATH, "10.0"): 3,
        ("predict_batch_size_bucket", MODEL_PATH, "100.0"): 4,
        ("predict_batch_size_bucket", MODEL_PATH, "1000.0"): 5,
        ("predict_batch_size_bucket", MODEL_PATH, "10000.0"): 5,
        ("predict_batch_size_bucket", MODEL_PATH, "100000.0"): 5,
        ("predict_batch_size_bucket", MODEL_PATH, "+Inf"): 5,
    }
    assert {name[1] for name in latency} == {MODEL_PATH}


def test_metrics_count_a_flat_row_as_a_batch_of_one(server: Server) -> None:
    before = server.metrics()
    assert server.predict(MODEL_PATH, list_row(MODEL_DIRS[0])).status_code == 200

    added = metrics_added(before, server.metrics())
    assert added["predict_batch_size_sum", MODEL_PATH] == 1


def test_metrics_name_the_model_of_each_route(server: Server) -> None:
    infos = {
        name[1:]: value
        for name, value in server.metrics().items()
        if name[0] == "predict_model_info"
    }

    ready = server.get("/ready").json()["routes"]
    expected = {(path, info["model"], info["digest"]): 1 for path, info in ready.items() if info}
    assert infos == expected
    assert len(infos) == len(MODEL_DIRS)


def test_metrics_page_has_the_content_type_of_prometheus(server: Server) -> None:
    response = server.get("/metrics")

    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
