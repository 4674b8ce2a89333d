"""Kinds that are inferred from the values of a column; columns to ignore."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets
from support.tables import column_csv, feature, read_table

from utils.dataset.description import Description
from utils.errors import TrainingError

SENTENCES = [f"the {word} of house {i} was very loud" for i in range(20) for word in ("dog", "cat")]
KINDS = {
    "integers": ([str(i % 7) for i in range(40)], "number"),
    "decimals": (["1.5", "-.5", "2.", "+3e-2"] * 10, "number"),
    "numbers with gaps": (["1", "", "NA", "2"] * 10, "number"),
    "an amount": (['"€ 1,219.50"', '"€ 12.00"', '"€ 7"'] * 10, "number"),
    "percentages": (["40%", "7 %", "12.5%"] * 10, "number"),
    "large and infinite numbers": (["1", "2", "3"] * 10, "number"),
    "postcodes": (["01234", "1234", "4109"] * 10, "category"),
    "part numbers": (["12E5", "120E4", "7E10"] * 10, "category"),
    "integers beyond float64": (["9007199254740993", "9007199254740992"] * 20, "category"),
    "spellings of Python": (["1_000", "0x1F", "5", "١٢"] * 10, "category"),
    "numbers and a placeholder": (
        [str(i) for i in range(40)] + ["not stated"] * 2,
        "number",
    ),
    "house numbers": ([*map(str, range(60)), "12a", "14b", "3c", "9d"] * 2, "category"),
    "names": (["Lima", "São Paulo", "New York"] * 10, "category"),
    "booleans": (["true", "False", "", "TRUE"] * 10, "boolean"),
    "yes and no": (["yes", "no"] * 20, "category"),
    "dates": (["16/03/2021", "04/05/2021", ""] * 10, "date"),
    "sentences": (SENTENCES, "text"),
    "repeated phrases": (["in the city", "in the country"] * 20, "category"),
}


@pytest.mark.parametrize(("values", "kind"), KINDS.values(), ids=KINDS)
def test_kind_is_inferred_from_the_values(tmp_path: Path, values: list[str], kind: str) -> None:
    _, description = read_table(tmp_path, column_csv(values))
    assert feature(description).kind == kind


def test_repeated_text_in_a_column_of_numbers_is_missing(tmp_path: Path) -> None:
    values = [str(i % 35) for i in range(80)]
    frame, description = read_table(tmp_path, column_csv([*values, "not stated", "not stated"]))
    assert feature(description).missing == ("", "not stated")
    assert frame.x.isna().sum() == 2
    with pytest.raises(TrainingError, match="line 82: expected a finite number, found 'ninety'"):
        read_table(tmp_path, column_csv([*values, "ninety"]))


def test_stated_kind_takes_precedence_over_the_values(tmp_path: Path) -> None:
    stated = 'label = "y"\n[columns]\nx = "category"'
    frame, description = read_table(tmp_path, column_csv(["3", "", "2.0"] * 10), stated)
    assert feature(description).values == "integer"
    assert frame.x.tolist()[:3] == [3, None, 2]


REASONS = {
    "no values": ([""] * 40, "has no values"),
    "constant": (["7"] * 40, "is constant ('7')"),
    "row number": ([str(i) for i in range(40)], "contains row numbers"),
    "words": (
        [f"w{i}" for i in range(40)],
        "has a different value in almost every row, like an id",
    ),
}


@pytest.mark.parametrize(("values", "reason"), REASONS.values(), ids=REASONS)
def test_column_that_can_not_help_is_ignored_with_a_notice(
    tmp_path: Path, values: list[str], reason: str
) -> None:
    rows = [f"{value},{i % 3},{'ab'[i % 2]}\n" for i, value in enumerate(values)]
    _, description = read_table(tmp_path, f"x,z,y\n{''.join(rows)}")
    assert description.ignore == ("x",)
    assert f"column 'x' {reason}; it is ignored" in description.notices


def test_column_that_is_stated_is_not_ignored(tmp_path: Path) -> None:
    stated = 'label = "y"\n[columns]\nx = "number"'
    _, description = read_table(tmp_path, column_csv([str(i) for i in range(40)]), stated)
    assert description.ignore == ()


def test_stated_column_without_values_is_ignored_with_a_notice(tmp_path: Path) -> None:
    stated = 'label = "y"\n[columns]\nx = "number"\nz = "number"'
    _, description = read_table(tmp_path, "x,z,y\n" + ",1,a\n,2,b\n" * 10, stated)
    assert description.ignore == ("x",)
    assert "column 'x' has no values; it is ignored" in description.notices


def test_unnamed_column_of_a_saved_index_is_ignored(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i % 3},{'ab'[i % 2]}\n" for i in range(40))
    _, description = read_table(tmp_path, f",z,y\n{rows}")
    assert description.ignore == ("",)


@pytest.mark.parametrize(
    ("others", "missing"),
    [
        (["DE", "FR", "ZA"], ("",)),
        (["Europe", "Asia"], ("", "NA")),
    ],
)
def test_na_among_codes_of_two_letters_is_a_category(
    tmp_path: Path, others: list[str], missing: tuple[str, ...]
) -> None:
    _, description = read_table(tmp_path, column_csv(["NA", "", *others] * 10))
    assert feature(description).missing == missing
    warned = any("NA is a category" in notice for notice in description.notices)
    assert warned == (missing == ("",))


def test_categories_that_differ_in_the_encoding_of_accents_are_reported(tmp_path: Path) -> None:
    composed = column_csv(["S\u00e3o Paulo", "Lima"] * 10)
    _, description = read_table(tmp_path, composed)
    assert not any("accents" in notice for notice in description.notices)
    both = column_csv(["S\u00e3o Paulo", "Sa\u0303o Paulo"] * 10)
    _, description = read_table(tmp_path, both)
    assert any("accents" in notice for notice in description.notices)


@pytest.mark.parametrize(
    ("scale", "is_reported"), [(1, False), (60_000, True)], ids=["small", "milliseconds"]
)
def test_integers_that_float32_can_not_distinguish_are_reported(
    tmp_path: Path, scale: int, is_reported: bool
) -> None:
    values = [
        str(scale * (i * i % 41) + (1_700_000_000_000 if is_reported else 0)) for i in range(40)
    ]
    _, description = read_table(tmp_path, column_csv(values))
    assert any("float32" in notice for notice in description.notices) == is_reported


# Labels


LABELS = {
    "classes of integers": (["0", "1"], "category", "integer", np.int64),
    "classes from 1": (["1", "2", "3"], "category", "integer", np.int64),
    "integers as decimals": (["0.0", "1.0"], "category", "integer", np.int64),
    "decimals": (["1.0", "2.5"], "category", "decimal", np.float64),
    "texts": (["yes", "no"], "category", "text", object),
    "texts with NA": (["EU", "NA", "APAC"], "category", "text", object),
    "mixed": (["0", "1", "other"], "category", "text", object),
    "booleans": (["True", "False"], "boolean", "text", bool),
    "many integers": ([str(7 * i % 120) for i in range(120)], "number", "text", np.float64),
    "many decimals": ([str(i / 7) for i in range(120)], "number", "text", np.float64),
    "amounts": ([f'"{i + 15},900"' for i in range(120)], "number", "text", np.float64),
}


@pytest.mark.parametrize(("values", "kind", "type_", "dtype"), LABELS.values(), ids=LABELS)
def test_label_has_the_kind_of_its_values(
    tmp_path: Path, values: list[str], kind: str, type_: str, dtype: type
) -> None:
    rows = [f"{i % 5},{values[i % len(values)]}\n" for i in range(120)]
    frame, description = read_table(tmp_path, f"x,y\n{''.join(rows)}")
    assert (description.label.kind, description.label.values) == (kind, type_)
    assert description.task == ("regression" if kind == "number" else "classification")
    assert frame.y.dtype == dtype


def test_label_of_many_numbers_with_another_text_is_rejected_with_its_line(tmp_path: Path) -> None:
    rows = "".join(f"{i % 5},{i / 7}\n" for i in range(100))
    with pytest.raises(TrainingError, match="column 'y', line 102: expected a finite number"):
        read_table(tmp_path, f"x,y\n{rows}1,other\n")


@pytest.mark.parametrize(
    ("stated", "kind"),
    [
        ('label = "y"\ntask = "regression"', "number"),
        ('label = "y"\ntask = "classification"', "category"),
        ('label = {name = "y", kind = "number"}', "number"),
    ],
)
def test_stated_task_takes_precedence_over_the_values(
    tmp_path: Path, stated: str, kind: str
) -> None:
    rows = "".join(f"{i % 5},{i % 2}\n" for i in range(40))
    _, description = read_table(tmp_path, f"x,y\n{rows}", stated)
    assert description.label.kind == kind


# Tables that other people made


def described(tmp_path: Path, frame: pd.DataFrame, label: str) -> Description:
    """Return the inferred description of a table."""
    content = frame.to_csv(index=False)
    read, description = read_table(tmp_path, content, f'label = "{label}"')
    assert len(read) == len(frame)
    for column in description.columns:
        assert column.kind == "number"
        expected = frame[column.name].to_numpy(np.float64)
        np.testing.assert_array_equal(read[column.name], expected)
    np.testing.assert_array_equal(
        read[label].astype(str), frame[label].astype(read[label].dtype).astype(str)
    )
    return description


BUNDLED = {
    "iris": ("classification", 4),
    "wine": ("classification", 13),
    "breast_cancer": ("classification", 30),
    "digits": ("classification", 61),
    "diabetes": ("regression", 10),
}


@pytest.mark.parametrize(("name", "expected"), BUNDLED.items(), ids=BUNDLED)
def test_tables_of_scikit_learn_are_read_exactly(
    tmp_path: Path, name: str, expected: tuple[str, int]
) -> None:
    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    description = described(tmp_path, frame, "target")
    assert (description.task, len(description.columns)) == expected
