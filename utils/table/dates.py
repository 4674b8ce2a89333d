"""Columns of dates and times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from utils.table.columns import Cells, Column, InvalidValue, Number

EPOCH = datetime(1970, 1, 1)
SECONDS_PER_DAY = 86_400


class Date(Column):
    """A date or a time, which becomes the numbers in `parts`.

    `format` is that of the data's file, in the notation of strptime. Dates in ISO 8601 are valid
    too. Each of `parts` describes a Number.
    """

    def __init__(self, plain: dict[str, Any], start: int):
        self._format: str = plain["format"]
        self._parts: list[Number] = []
        width = 0
        for part in plain["parts"]:
            self._parts.append(Number(part, width))
            width += self._parts[-1].width
        super().__init__(plain, start, width)

    def _cells(self, value: Any) -> Cells:
        moment = self._moment(value) if type(value) is str else None
        if moment is None:
            raise InvalidValue(self.expected())
        for part in self._parts:
            for position, cell in part.number_cells(DATE_PARTS[part.name](moment)):
                yield part.start + position, cell

    def cells(self, value: Any) -> Cells:
        # The list raises the error here and not when the caller iterates.
        return list(super().cells(value))

    def _value(self, value: Any) -> Any:
        return self._moment(value)

    def _moment(self, text: str) -> datetime | None:
        """Return the time in UTC, without a time zone, or None if `text` is not a date."""
        for parse in (self._parse_format, datetime.fromisoformat):
            try:
                moment = parse(text.strip())
                if moment.tzinfo is not None:
                    moment = moment.astimezone(UTC).replace(tzinfo=None)
                return moment
            # A time zone can shift the first or last year out of the range.
            except (ValueError, OverflowError):
                continue
        return None

    def _parse_format(self, text: str) -> datetime:
        return datetime.strptime(text, self._format)

    def _description(self) -> str:
        example = datetime(2024, 12, 31).strftime(self._format)
        return f"a date such as {example!r} or '2024-12-31'"


def days(moment: datetime) -> float:
    """Return the days since 1970, with the fraction of the day."""
    return (moment - EPOCH).total_seconds() / SECONDS_PER_DAY


def hours(moment: datetime) -> float:
    """Return the hours since midnight, with their fraction."""
    return moment.hour + moment.minute / 60 + moment.second / 3600


DATE_PARTS = {
    "days": days,
    "year": lambda moment: moment.year,
    "month": lambda moment: moment.month,
    "day": lambda moment: moment.day,
    "weekday": lambda moment: moment.weekday(),
    "hour": hours,
}
