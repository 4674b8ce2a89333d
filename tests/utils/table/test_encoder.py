"""Test that rows are encoded as by scikit-learn, and that errors name bad rows."""

import json
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder
from support.commands import ROOT

from utils.table.columns import Buffer
from utils.table.encoder import FEW_ROWS, TableEncoder
from utils.table.rows import InvalidInstances

SMALL = {
    "columns": [
        {"name": "age"},
        {"name": "job", "categories": ["a", "b", "c", "d"]},
        {"name": "h", "edges": [9]},
    ]
}
GOOD = [40, "b", 9]
ENCODED = [40, 0, 1, 0, 0, 0, 1]
Fitted = tuple[dict[str, Any], np.ndarray]


def rows_of(table: pd.DataFrame) -> list[list[Any]]:
    """Return the table's rows as a client would send them."""
    rows: list[list[Any]] = json.loads(table.to_json(orient="values"))
    return rows


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """The features of the real data."""
    return pd.read_csv(ROOT / "data" / "adult_income-prepped.csv").drop(columns="income")


def fit_bins(column: pd.DataFrame) -> KBinsDiscretizer:
    """Return many quantiles; scikit-learn warns that it drops the empty ones."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Bins whose width are too small", UserWarning)
        bins = KBinsDiscretizer(
            99, encode="onehot-dense", subsample=None, quantile_method="averaged_inverted_cdf"
        )
        return bins.fit(column)


@pytest.fixture(scope="module", params=["raw", "binned"])
def fitted(request: pytest.FixtureRequest, table: pd.DataFrame) -> Fitted:
    """The `scaler` of the table, and the matrix of all rows from scikit-learn.

    Fitted on 5,000 of the rows.
    """
    columns = []
    parts = []
    for name in table:
        values = table[[name]]
        known = values.head(5000)
        if not pd.api.types.is_numeric_dtype(table[name]):
            one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(known)
            columns.append({"name": name, "categories": one_hot.categories_[0].tolist()})
            parts.append(one_hot.transform(values))
        elif request.param == "binned":
            bins = fit_bins(known)
            columns.append({"name": name, "edges": bins.bin_edges_[0][1:-1].tolist()})
            parts.append(bins.transform(values))
        else:
            columns.append({"name": name})
            parts.append(values.to_numpy())
    return {"columns": columns}, np.hstack(parts).astype(np.float32)


def test_many_rows_are_encoded_as_scikit_learn_encodes_them(
    fitted: Fitted, table: pd.DataFrame
) -> None:
    scaler, expected = fitted
    found = TableEncoder(scaler, ignore_unknown=True).encode(rows_of(table))
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)


def test_few_rows_are_encoded_as_scikit_learn_encodes_them(
    fitted: Fitted, table: pd.DataFrame
) -> None:
    scaler, expected = fitted
    encoder = TableEncoder(scaler, ignore_unknown=True)
    rows = rows_of(table)
    few = FEW_ROWS - 1
    parts = [encoder.encode(rows[start : start + few]) for start in range(0, len(rows), few)]
    assert {part.dtype for part in parts} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(np.vstack(parts), expected)


def test_the_real_data_has_categories_that_five_thousand_rows_lack(
    fitted: Fitted, table: pd.DataFrame
) -> None:
    with pytest.raises(
        InvalidInstances, match="^row 5361: column 'workclass': expected one of 'workclass_F"
    ):
        TableEncoder(fitted[0]).encode(rows_of(table))


@pytest.mark.parametrize("count", [1, 2, FEW_ROWS - 1, FEW_ROWS, FEW_ROWS + 1, 100])
def test_objects_and_lists_are_the_same_rows(count: int) -> None:
    encoder = TableEncoder(SMALL)
    rows = [[i, "abcd"[i % 4], i] for i in range(count)]
    objects = [{"h": h, "age": age, "job": job} for age, job, h in rows]
    mixed = [row if i % 2 else rows[i] for i, row in enumerate(objects)]
    found = encoder.encode(rows)
    assert found.shape == (count, 7)
    np.testing.assert_array_equal(found, encoder.encode(objects))
    np.testing.assert_array_equal(found, encoder.encode(mixed))


def test_a_value_on_a_border_belongs_to_the_bin_above() -> None:
    encoder = TableEncoder({"columns": [{"name": "h", "edges": [1, 9]}]})
    expected = [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]
    rows = [[0.999], [1], [8.999], [9], [3e38]]
    assert encoder.encode(rows).tolist() == expected
    assert encoder.encode(rows + rows).tolist() == expected + expected


def test_one_flat_row_is_a_batch_of_one() -> None:
    assert TableEncoder(SMALL).encode(GOOD).tolist() == [ENCODED]


def test_one_row_is_encoded_in_the_buffer_if_there_is_one() -> None:
    encoder = TableEncoder(SMALL)
    buffer = Buffer(1, encoder.width)
    buffer.matrix.fill(9)
    assert encoder.encode([GOOD], buffer) is buffer.matrix
    assert buffer.matrix.tolist() == [ENCODED]
    assert encoder.encode([GOOD]) is not buffer.matrix


@pytest.mark.parametrize("count", [0, 2, FEW_ROWS])
def test_several_rows_leave_the_buffer_as_it_is(count: int) -> None:
    encoder = TableEncoder(SMALL)
    buffer = Buffer(1, encoder.width)
    buffer.matrix.fill(9)
    assert encoder.encode([GOOD] * count, buffer).tolist() == [ENCODED] * count
    assert set(buffer.matrix[0]) == {9}


def test_no_rows_are_a_matrix_without_rows() -> None:
    assert TableEncoder(SMALL).encode([]).shape == (0, 7)


@pytest.mark.parametrize(
    ("instances", "found"),
    [
        ({"age": 40, "job": "b", "h": 9}, "an object"),
        (None, "null"),
        (True, "true"),
        (7, "7"),
        ("rows", "'rows'"),
        (10**5000, "an integer beyond 64 bits"),
    ],
    ids="object null true number text huge".split(),
)
def test_instances_that_are_no_list_are_rejected(instances: Any, found: str) -> None:
    assert refusal(TableEncoder(SMALL), instances) == (
        f"expected a list of rows, found {found}",
        "instances",
    )


def refusal(encoder: TableEncoder, instances: Any) -> tuple[str, str]:
    """Return the message and the path with which instances are rejected."""
    with pytest.raises(InvalidInstances) as caught:
        encoder.encode(instances)
    assert caught.value.status == 422
    assert caught.value.code == "invalid_instances"
    return str(caught.value), caught.value.path


NUMBER = "column 'age': expected a finite number, found"
JOB = "column 'job': expected one of 'a', 'b', 'c' and 1 more, found"
LONG = "an integer beyond 64 bits"
BAD_ROWS = {
    "short list": ([40, "b"], "expected 3 values (age, job, h), found 2", ""),
    "long list": ([40, "b", 9, 9], "expected 3 values (age, job, h), found 4", ""),
    "empty list": ([], "expected 3 values (age, job, h), found 0", ""),
    "empty object": ({}, "column 'age' is missing", ".age"),
    "missing column": ({"age": 40, "job": "b"}, "column 'h' is missing", ".h"),
    "misspelt column": ({"age": 40, "Job": "b", "h": 9}, "column 'job' is missing", ".job"),
    "unknown column": (
        {"age": 40, "job": "b", "h": 9, "zip": 1},
        "column 'zip' is not a column of this model (age, job, h)",
        ".zip",
    ),
    "text for a number": (["40", "b", 9], f"{NUMBER} '40'", ".age"),
    "text in an object": ({"age": "40", "job": "b", "h": 9}, f"{NUMBER} '40'", ".age"),
    "true for a number": ([True, "b", 9], f"{NUMBER} true", ".age"),
    "null for a number": ([None, "b", 9], f"{NUMBER} null", ".age"),
    "list for a number": ([[40], "b", 9], f"{NUMBER} a list", ".age"),
    "object for a number": ([{"a": 1}, "b", 9], f"{NUMBER} an object", ".age"),
    "nan": ([float("nan"), "b", 9], f"{NUMBER} nan", ".age"),
    "infinity": ([float("-inf"), "b", 9], f"{NUMBER} -inf", ".age"),
    "beyond float32": ([1e39, "b", 9], f"{NUMBER} 1e+39", ".age"),
    "400 digits": ([10**400, "b", 9], f"{NUMBER} {LONG}", ".age"),
    "5000 digits": ([-(10**5000), "b", 9], f"{NUMBER} {LONG}", ".age"),
    "text for a binned number": (
        [40, "b", "9"],
        "column 'h': expected a finite number, found '9'",
        ".h",
    ),
    "nan for a binned number": (
        [40, "b", float("nan")],
        "column 'h': expected a finite number, found nan",
        ".h",
    ),
    "unknown category": ([40, "e", 9], f"{JOB} 'e'", ".job"),
    "long category": ([40, "e" * 99, 9], f"{JOB} '{'e' * 56}...", ".job"),
    "number for a category": ([40, 2, 9], f"{JOB} 2", ".job"),
    "huge number for a category": ([40, 10**5000, 9], f"{JOB} {LONG}", ".job"),
    "false for a category": ([40, False, 9], f"{JOB} false", ".job"),
    "null for a category": ([40, None, 9], f"{JOB} null", ".job"),
    "list for a category": ([40, ["b"], 9], f"{JOB} a list", ".job"),
    "object for a category": ([40, {}, 9], f"{JOB} an object", ".job"),
}


UNKNOWN = ("unknown category", "long category")
CASES = [
    (kind, ignore)
    for kind in BAD_ROWS
    for ignore in (False, True)
    if not (ignore and kind in UNKNOWN)
]


@pytest.mark.parametrize(("kind", "ignore_unknown"), CASES)
def test_a_bad_row_is_rejected_by_row_column_and_value(kind: str, ignore_unknown: bool) -> None:
    row, message, path = BAD_ROWS[kind]
    encoder = TableEncoder(SMALL, ignore_unknown)
    assert refusal(encoder, [row]) == (f"row 0: {message}", f"instances[0]{path}")
    many = [GOOD] * 37 + [row] + [GOOD] * 62
    assert refusal(encoder, many) == (f"row 37: {message}", f"instances[37]{path}")


@pytest.mark.parametrize("count", [1, 100])
def test_an_ignored_unknown_category_is_zeros(count: int) -> None:
    found = TableEncoder(SMALL, ignore_unknown=True).encode([GOOD, [40, "e", 9]] * count)
    assert found.tolist() == [ENCODED, [40, 0, 0, 0, 0, 0, 1]] * count


@pytest.mark.parametrize(
    ("second", "found"),
    [(5, "5"), ("text", "'text'"), (None, "null"), (10**5000, LONG)],
    ids="number text null huge".split(),
)
def test_a_row_that_is_neither_list_nor_object_is_rejected(second: Any, found: str) -> None:
    message = f"row 1: expected a list or an object, found {found}"
    assert refusal(TableEncoder(SMALL), [GOOD, second]) == (message, "instances[1]")


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(width=32)
    | st.floats()
    | st.sampled_from("abcde")
)
JSON = st.recursive(
    VALUES | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)
ROWS = st.lists(VALUES, min_size=3, max_size=3) | st.fixed_dictionaries(
    {"age": VALUES, "job": VALUES, "h": VALUES}
)
VALID_ROWS = st.tuples(
    st.integers(),
    st.sampled_from("abcd"),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
)


def outcome(instances: Any, keep: int | None = None) -> Any:
    """Return the matrix's first rows as lists, or the error's message and path."""
    try:
        return TableEncoder(SMALL).encode(instances).tolist()[:keep]
    except InvalidInstances as error:
        return str(error), error.path


@settings(deadline=None)
@given(JSON | st.lists(ROWS | JSON))
def test_no_json_raises_anything_but_invalid_instances(instances: Any) -> None:
    found = outcome(instances)
    assert isinstance(found, list if instances == [] else (list, tuple))


@settings(deadline=None)
@given(st.lists(ROWS | VALID_ROWS.map(list), min_size=1, max_size=FEW_ROWS - 1))
def test_few_and_many_rows_are_encoded_and_rejected_alike(rows: list[Any]) -> None:
    assert outcome(rows) == outcome(rows + [GOOD] * FEW_ROWS, keep=len(rows))
