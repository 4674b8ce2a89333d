"""The counters that workers share, and the page that shows them."""

from collections.abc import Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families
from runtime.endpoint import Endpoint
from runtime.metrics import (
    CELLS,
    OFFSETS,
    ROWS,
    SECONDS,
    SIZES,
    STATUSES,
    Counts,
    cumulative_buckets,
    metrics_page,
)
from runtime.settings import MAX_WORKERS

GOOD = b'{"payload": 1}'


def cells_by_name(offsets: Mapping[str, int], sizes: Mapping[str, int]) -> list[int]:
    """Return the cells of all names, in order; a shared cell appears twice."""
    cells = [range(offset, offset + sizes[name]) for name, offset in offsets.items()]
    return sorted(cell for used in cells for cell in used)


def test_names_of_the_cells_do_not_overlap_and_leave_none_out() -> None:
    assert cells_by_name(OFFSETS, SIZES) == list(range(CELLS))


@pytest.mark.parametrize("shift", [-1, 1])
@pytest.mark.parametrize("name", list(OFFSETS))
def test_name_whose_cells_are_one_off_overlaps_or_leaves_a_gap(name: str, shift: int) -> None:
    shifted = {**OFFSETS, name: OFFSETS[name] + shift}
    assert cells_by_name(shifted, SIZES) != list(range(CELLS))


class CountsWithOverlap(Counts):
    """Counters with a wrong offset: status 400 is counted as status 200."""

    def add(self, status: int, seconds: float, rows: int) -> None:
        """Count one response."""
        super().add(200 if status == 400 else status, seconds, rows)


def counts_by_status(counts: Counts) -> dict[int, int]:
    """Count each status as often as its number; return the counts by status."""
    for status in STATUSES:
        for _ in range(status):
            counts.add(status, 0.0, 1)

    counted = counts.totals()["status"]
    return {status: int(count) for status, count in zip(STATUSES, counted, strict=True)}


def test_each_status_is_counted_in_a_cell_of_its_own() -> None:
    assert counts_by_status(Counts()) == {status: status for status in STATUSES}


def test_status_counted_in_the_cell_of_another_is_noticed() -> None:
    counted = counts_by_status(CountsWithOverlap())
    assert counted[200] == 600
    assert counted[400] == 0


def test_status_cells_are_those_that_a_response_can_have() -> None:
    assert list(STATUSES) == [200, *range(400, 600)]


@pytest.mark.parametrize("status", [400, 499, 500, 599])
def test_error_is_counted_without_latency_and_rows(status: int) -> None:
    counts = Counts()
    counts.add(status, 5.0, 7)

    totals = counts.totals()
    assert sum(totals.pop("status")) == 1
    assert sum(sum(cells) for cells in totals.values()) == 0


@pytest.mark.parametrize("slot", [0, 1, MAX_WORKERS - 1])
def test_success_is_counted_with_latency_and_rows(slot: int) -> None:
    counts = Counts()
    counts.use_slot(slot)
    counts.add(200, 0.25, 7)

    totals = counts.totals()
    assert totals["latency_sum"] == [0.25]
    assert totals["batch_sum"] == [7]
    assert sum(totals["latency_buckets"]) == 1
    assert sum(totals["batch_buckets"]) == 1


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [
        (0.0, 0),
        *[(bound, place) for place, bound in enumerate(SECONDS)],
        *[(bound * 1.001, place + 1) for place, bound in enumerate(SECONDS)],
    ],
)
def test_latency_is_counted_in_the_first_bucket_whose_bound_is_not_smaller(
    seconds: float, bucket: int
) -> None:
    counts = Counts()
    counts.add(200, seconds, 1)
    assert counts.totals()["latency_buckets"].index(1) == bucket


@pytest.mark.parametrize(
    ("rows", "bucket"),
    [
        (0, 0),
        *[(int(bound), place) for place, bound in enumerate(ROWS)],
        *[(int(bound) + 1, place + 1) for place, bound in enumerate(ROWS)],
    ],
)
def test_batch_is_counted_in_the_first_bucket_whose_bound_is_not_smaller(
    rows: int, bucket: int
) -> None:
    counts = Counts()
    counts.add(200, 0.001, rows)
    assert counts.totals()["batch_buckets"].index(1) == bucket


def test_totals_add_up_the_counters_of_every_worker() -> None:
    counts = Counts()
    for slot in range(MAX_WORKERS):
        counts.use_slot(slot)
        counts.add(200, 0.5, 2)

    totals = counts.totals()
    assert totals["status"][0] == MAX_WORKERS
    assert totals["latency_sum"] == [MAX_WORKERS * 0.5]
    assert totals["batch_sum"] == [MAX_WORKERS * 2]


def test_worker_beyond_the_most_workers_has_no_counters() -> None:
    counts = Counts()
    counts.use_slot(MAX_WORKERS)
    with pytest.raises(IndexError):
        counts.add(200, 0.5, 2)


def test_cumulative_bucket_includes_all_smaller_ones() -> None:
    buckets = cumulative_buckets((1.0, 10.0), [3, 0, 2])
    assert buckets == [("1.0", 3), ("10.0", 3), ("+Inf", 5)]


def samples(*endpoints: Endpoint) -> dict[tuple[str, ...], float]:
    """Return the samples of the page by name and labels, from Prometheus' parser."""
    page = metrics_page(endpoints).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_page_shows_the_statuses_that_a_route_has_sent_and_no_others() -> None:
    used = Endpoint("used", lambda msg: {})
    unused = Endpoint("unused", lambda msg: {})
    used.answer(GOOD)
    used.answer(GOOD)
    used.answer(b"{")

    shown = samples(used, unused)
    requests = {key[1:]: value for key, value in shown.items() if key[0].endswith("_total")}
    assert requests == {("/used", "200"): 2, ("/used", "400"): 1}
    assert shown["predict_latency_seconds_count", "/used"] == 2
    assert shown["predict_latency_seconds_count", "/unused"] == 0


def test_page_shows_a_problem_of_a_model_until_it_is_gone() -> None:
    endpoint = Endpoint("a", lambda msg: {})
    assert samples(endpoint)["predict_model_problem", "/a"] == 0

    endpoint.problem = "models/a.pkl: no such file"
    assert samples(endpoint)["predict_model_problem", "/a"] == 1
