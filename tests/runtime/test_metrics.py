"""The counters of a route, and /metrics over real connections."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime.metrics import ROWS, SECONDS, STATUSES, Counts
from support.model_server import model_server
from support.models import MODEL_DIRS, example_rows, list_row
from support.server import PATHS, Metrics, Server

MODEL_PATH = PATHS[MODEL_DIRS[0]]
Totals = dict[str, list[float]]


@pytest.fixture(scope="module")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of every model and of a function without a model."""
    with model_server(tmp_path_factory.mktemp("metrics"), trained, "echo") as server:
        yield server.wait_until_ready()


def used_cells(totals: Totals) -> dict[tuple[str, int], float]:
    """Return the cells that are not 0, each by its name and its place under that name."""
    return {
        (name, place): value
        for name, values in totals.items()
        for place, value in enumerate(values)
        if value
    }


def bounds_below(bounds: tuple[float, ...], value: float) -> int:
    """Return how many bounds are smaller than a value: the place of its bucket."""
    return sum(bound < value for bound in bounds)


def metrics_added(before: Metrics, after: Metrics) -> Metrics:
    """Return by how much the metrics have grown, without those that haven't."""
    differences = {name: value - before.get(name, 0) for name, value in after.items()}
    return {name: difference for name, difference in differences.items() if difference}


def test_statuses_are_200_and_every_error() -> None:
    assert list(STATUSES) == [200, *range(400, 600)]


def assert_each_error_has_its_own_cell(counts: Counts) -> None:
    """Count every error a different number of times; check all cells after each."""
    expected: dict[tuple[str, int], float] = {}
    for place, status in enumerate(range(400, 600), start=1):
        for _ in range(place):
            counts.add(status, seconds=0.003, rows=7)
        expected["status", place] = place
        assert used_cells(counts.totals()) == expected


@pytest.mark.parametrize("slot", [0, 63])
def test_counts_have_a_cell_of_its_own_for_each_error(slot: int) -> None:
    counts = Counts()
    counts.use_slot(slot)

    assert_each_error_has_its_own_cell(counts)


class ShiftedCounts(Counts):
    """Counters that count each error as the next status."""

    def add(self, status: int, seconds: float, rows: int) -> None:
        """Count one response in a wrong cell."""
        super().add(status + 1, seconds, rows)


def test_error_in_the_cell_of_another_status_fails_the_check() -> None:
    with pytest.raises(AssertionError):
        assert_each_error_has_its_own_cell(ShiftedCounts())


def test_counts_add_a_success_to_latency_and_batch_size() -> None:
    counts = Counts()
    counts.add(200, seconds=0.003, rows=7)

    assert used_cells(counts.totals()) == {
        ("status", 0): 1,
        ("latency_buckets", bounds_below(SECONDS, 0.003)): 1,
        ("latency_sum", 0): 0.003,
        ("batch_buckets", bounds_below(ROWS, 7)): 1,
        ("batch_sum", 0): 7,
    }


@pytest.mark.parametrize("seconds", [0.0, SECONDS[-1], SECONDS[-1] * 2])
@pytest.mark.parametrize("rows", [1, int(ROWS[-1]), int(ROWS[-1]) * 2])
def test_counts_keep_latency_and_batch_size_apart(seconds: float, rows: int) -> None:
    counts = Counts()
    counts.add(200, seconds=seconds, rows=rows)

    totals = counts.totals()
    assert sum(totals["status"]) == 1
    assert sum(totals["latency_buckets"]) == 1
    assert totals["latency_buckets"][bounds_below(SECONDS, seconds)] == 1
    assert totals["latency_sum"] == [seconds]
    assert sum(totals["batch_buckets"]) == 1
    assert totals["batch_buckets"][bounds_below(ROWS, rows)] == 1
    assert totals["batch_sum"] == [rows]


def test_totals_sum_the_slots_of_all_workers() -> None:
    counts = Counts()
    for slot in (0, 1, 63):
        counts.use_slot(slot)
        counts.add(200, seconds=0.25, rows=1)
        counts.add(599, seconds=0.0, rows=0)

    totals = counts.totals()
    assert totals["status"][0] == 3
    assert totals["status"][-1] == 3
    assert totals["latency_sum"] == [0.75]
    assert totals["batch_sum"] == [3]


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
