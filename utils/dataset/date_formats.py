"""Find the formats in which the dates of a column are written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice

import numpy as np
import pandas as pd

DATES = (
    "%Y-%m-%d %Y/%m/%d %Y.%m.%d %d.%m.%Y %d/%m/%Y %m/%d/%Y %d-%m-%Y %m-%d-%Y "
    "%d.%m.%y %d/%m/%y %m/%d/%y %d-%m-%y %m-%d-%y %d-%b-%Y %d-%b-%y"
).split()
NAMED_DATES = ("%d %b %Y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y", "%B %d %Y")
# All dates have two groups of digits and something between them. The check saves the time to try
# each format on each column.
DATE_LIKE = re.compile(r"\d{1,4}[-/.]\w{1,9}[-/.]\d|(\d{1,2} [A-Za-z]|[A-Za-z]{3,9} \d{1,2}).*\d")
TIME = re.compile(
    r"(?P<before>[T ])\d{1,2}:\d\d(?P<seconds>:\d\d)?(?P<fraction>\.\d{1,6})?"
    r"(?P<half> ?[AaPp][Mm])?(?P<zone> ?(Z|[+-]\d\d:?\d\d))?$"
)
SAMPLE = 50


def fitting_formats(texts: Sequence[str], share: float) -> tuple[str, ...]:
    """Return the formats that fit at least `share` of the distinct `texts`.

    Only those that fit the most texts are returned, and only one of those that give the same dates.
    """
    sample = texts[:SAMPLE]
    if not sample or sum(bool(DATE_LIKE.match(text)) for text in sample) < share * len(sample):
        return ()
    fits: dict[str, np.ndarray] = {}
    for format in candidates(sample):
        if not np.isnat(parse_dates(sample, format)).mean() > 1 - share:
            fits[format] = parse_dates(texts, format)
    counts = {format: int((~np.isnat(dates)).sum()) for format, dates in fits.items()}
    most = max(counts.values(), default=0)
    chosen: dict[str, np.ndarray] = {}
    for format, dates in fits.items():
        is_new = not any(np.array_equal(dates, other, equal_nan=True) for other in chosen.values())
        if is_new and counts[format] == most >= share * len(texts):
            chosen[format] = dates
    return tuple(chosen)


def candidates(sample: Sequence[str]) -> Iterator[str]:
    """Yield the formats to try: all dates with the times that are in the sample."""
    times = {time_format(text): None for text in islice(sample, 5)}
    for date in (*DATES, *NAMED_DATES):
        for time in times:
            yield date + time


def time_format(text: str) -> str:
    """Return the format of the time at the end of `text`, or "".

    It begins with the character before the time.
    """
    match = TIME.search(text)
    if not match:
        return ""
    format = match["before"] + ("%I:%M" if match["half"] else "%H:%M")
    format += ":%S" if match["seconds"] else ""
    format += ".%f" if match["fraction"] else ""
    half = match["half"] or ""
    format += half[:-2] + ("%p" if half else "")
    zone = match["zone"] or ""
    return format + (" " if zone.startswith(" ") else "") + ("%z" if zone else "")


def parse_dates(texts: Sequence[str], format: str) -> np.ndarray:
    """Return the dates as datetime64[us] in UTC; NaT for a text that does not fit."""
    series = pd.Series(list(texts), dtype=object)
    dates = pd.to_datetime(series, format=format, errors="coerce", utc=True)
    moments = dates.dt.tz_localize(None).to_numpy("datetime64[us]").copy()
    # For a format of ISO 8601, pandas expects two digits. Python's strptime also reads 2021-3-1.
    for i in np.flatnonzero(np.isnat(moments)):
        with suppress(ValueError, OverflowError):
            moment = datetime.strptime(texts[i], format)
            moments[i] = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    return moments
