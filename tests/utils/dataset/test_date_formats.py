"""Formats of dates: the one that fits all rows, or all that do."""

from datetime import datetime

import numpy as np
import pytest

from utils.dataset.date_formats import fitting_formats, parse_dates

MOMENTS = [datetime(2019 + i % 5, 1 + i % 12, 1 + i % 28, i % 24, i % 60, i, i) for i in range(60)]
FORMATS = [
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%d.%m.%y",
    "%d-%b-%Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S%z",
    "%m/%d/%Y %I:%M %p",
    "%d.%m.%Y %H:%M:%S",
]


@pytest.mark.parametrize("format", FORMATS)
def test_format_is_found_from_the_dates_that_it_wrote(format: str) -> None:
    texts = [moment.strftime(format.replace("%z", "+02:00")) for moment in MOMENTS]
    assert fitting_formats(texts, 0.9) == (format,)


def test_format_that_fits_all_rows_is_chosen_over_the_one_that_fits_the_first_rows() -> None:
    first = ["04/05/2021", "06/10/2021", "02/03/2021"] * 5
    assert fitting_formats([*first, "16/03/2021"], 0.9) == ("%d/%m/%Y",)
    assert fitting_formats([*first, "03/16/2021"], 0.9) == ("%m/%d/%Y",)


def test_two_formats_that_fit_all_rows_are_returned() -> None:
    assert fitting_formats(["04/05/2021", "06/10/2021"], 0.9) == ("%d/%m/%Y", "%m/%d/%Y")


def test_two_formats_that_give_the_same_dates_are_one() -> None:
    assert fitting_formats(["04/04/2021", "06/06/2021"], 0.9) == ("%d/%m/%Y",)


@pytest.mark.parametrize(
    "text", ["12", "1.5", "2021", "20210405", "12:30", "a-b-c", "room 12", "1.2.3.4", "99-99-9999"]
)
def test_text_that_is_no_date_has_no_format(text: str) -> None:
    assert fitting_formats([text] * 3, 0.9) == ()


def test_date_without_leading_zeros_has_a_format() -> None:
    assert fitting_formats(["2021-3-1 9:05", "2020-12-31 10:00"], 0.9) == ("%Y-%m-%d %H:%M",)


def test_zone_is_converted_to_utc() -> None:
    dates = parse_dates(["2021-04-05 01:00+02:00", "none"], "%Y-%m-%d %H:%M%z")
    assert dates[0] == np.datetime64("2021-04-04T23:00")
    assert np.isnat(dates[1])
