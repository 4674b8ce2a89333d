"""The JSON form of each kind of value in an answer.

JSON has texts, numbers, true, false, null, lists and objects. msgspec knows the forms of most kinds
of the standard library. This module has the others, those of numpy and those of pandas. The table
in docs/adding-a-model.md lists all of them.
"""

import io
import sys
from collections import UserString
from collections.abc import Callable, Iterator, Mapping, MappingView, Sequence, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import PurePath
from types import NoneType
from typing import Any
from uuid import UUID

ATTOSECONDS = {
    "as": 1,
    "fs": 10**3,
    "ps": 10**6,
    "ns": 10**9,
    "us": 10**12,
    "ms": 10**15,
    "s": 10**18,
    "m": 60 * 10**18,
    "h": 3_600 * 10**18,
    "D": 86_400 * 10**18,
    "W": 7 * 86_400 * 10**18,
}
CALENDAR_UNITS = ("Y", "M")
# The codes of numpy's types whose tolist() returns the right values: bool, integers, floats of up
# to 64 bits, bytes, texts and objects.
LISTED_CODES = "?bBhHiIlLqQefdSUTO"
LONG_DOUBLE = "g"
# The types of numpy's numbers and texts. An answer may have many of them, so they are found first.
_scalar_types: set[type] = set()


def to_plain(value: Any) -> Any:
    """Return a value whose kind msgspec does not know as a value that it knows.

    The value is a part of an answer, or the key of an object. Raises TypeError for a value that has
    no JSON form.
    """
    if type(value) in _scalar_types:
        return value.tolist()

    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        return _from_numpy(value, numpy)
    pandas = sys.modules.get("pandas")
    if pandas is not None and _is_of_pandas(value):
        return _from_pandas(value, pandas)
    return _from_others(value)


def no_form(value: Any) -> TypeError:
    """Return the error for a value that has no JSON form."""
    kind = type(value)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return TypeError(f"{module}{kind.__qualname__} has no JSON form")


# numpy


def _from_numpy(value: Any, numpy: Any) -> Any:
    """Return an array as a list, and a scalar as a plain value."""
    dtype = value.dtype
    if dtype.char in LISTED_CODES:
        if type(value) is dtype.type:
            _scalar_types.add(dtype.type)
        return value.tolist()

    if value.ndim:
        # The elements are arrays of one dimension less, or scalars.
        return list(value)
    if dtype.names:
        return [value[name] for name in dtype.names]
    if isinstance(value, numpy.ndarray):
        return value[()]
    return _from_scalar(value, dtype)


def _from_scalar(value: Any, dtype: Any) -> Any:
    """Return a scalar of numpy whose tolist() loses something."""
    if dtype.char == LONG_DOUBLE:
        return float(value)
    if dtype.kind == "V":
        return bytes(value)
    if dtype.kind not in "mM":
        raise no_form(value)

    is_missing = value != value
    if is_missing:
        return None
    return _date_text(value) if dtype.kind == "M" else _duration_text(value)


def _date_text(value: Any) -> str:
    """Return a datetime64 in the form of a datetime's text.

    The text has as many digits behind the seconds as the value needs: none, six or more.
    """
    seconds, _, fraction = str(value).partition(".")
    digits = fraction.rstrip("0")
    if not digits:
        return seconds
    return f"{seconds}.{digits.ljust(6, '0')}"


def _duration_text(value: Any) -> str | int:
    """Return a timedelta64 as an ISO 8601 duration, or its number if it has no unit."""
    # timedelta64[25s] has the unit s and the step 25.
    unit, step = sys.modules["numpy"].datetime_data(value.dtype)
    number = int(value.astype("int64")) * step
    if unit in CALENDAR_UNITS:
        return f"{'-' if number < 0 else ''}P{abs(number)}{unit}"
    if unit not in ATTOSECONDS:
        return number

    seconds, attoseconds = divmod(abs(number) * ATTOSECONDS[unit], 10**18)
    days, seconds = divmod(seconds, 86_400)
    fraction = f"{attoseconds:018}".rstrip("0")
    amount = f"{seconds}.{fraction}" if fraction else f"{seconds}"
    clock = f"T{amount}S" if amount != "0" else ""
    calendar = f"{days}D" if days or not clock else ""
    return f"{'-' if number < 0 else ''}P{calendar}{clock}"


# pandas


def _is_of_pandas(value: Any) -> bool:
    """Return whether a value is of a class of pandas or of a subclass."""
    return any(base.__module__.startswith("pandas.") for base in type(value).__mro__)


def _from_pandas(value: Any, pandas: Any) -> Any:
    """Return a table or a column as a list, and a scalar as a plain value."""
    if value is pandas.NA or value is pandas.NaT:
        return None
    if isinstance(value, pandas.Timestamp):
        return _iso_text(value)
    if isinstance(value, pandas.Timedelta):
        return value.to_timedelta64()
    if isinstance(value, (pandas.Period, pandas.Interval)):
        return str(value)
    if isinstance(value, pandas.DataFrame):
        return _rows(value)
    return _from_others(value)


def _rows(table: Any) -> list[dict[Any, Any]]:
    """Return one object for each row of a DataFrame, without its index."""
    # Objects would lose all but one of the columns of the same name.
    if not table.columns.is_unique:
        names = list(table.columns[table.columns.duplicated()])
        raise TypeError(f"a DataFrame has more than one column {names[0]!r}")
    rows: list[dict[Any, Any]] = table.to_dict("records")
    return rows


# The standard library, and its subclasses, which msgspec does not know


def _from_others(value: Any) -> Any:
    for kinds, convert in CONVERSIONS:
        if isinstance(value, kinds):
            return convert(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise no_form(value)


def is_iterator(value: Any) -> bool:
    """Return whether a value yields its items only once.

    An open file is not accepted.
    """
    return isinstance(value, Iterator) and not isinstance(value, io.IOBase)


def _iso_text(value: Any) -> str:
    text: str = value.isoformat()
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


def _plain_duration(value: timedelta) -> timedelta:
    return timedelta(value.days, value.seconds, value.microseconds)


def _reject_key(value: Any) -> Any:
    raise TypeError(f"{value!r} is not the key of a JSON object")


# The first kind that fits counts. msgspec passes True, None, tuples and frozensets only if they are
# keys of a dict.
CONVERSIONS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (bool, lambda value: "true" if value else "false"),
    (NoneType, lambda value: "null"),
    ((tuple, frozenset), _reject_key),
    (str, str.__str__),
    (int, int),
    (float, float),
    ((bytes, bytearray), bytes),
    ((datetime, time), _iso_text),
    (date, date.isoformat),
    (timedelta, _plain_duration),
    ((UUID, PurePath, UserString, Decimal, Fraction), str),
    ((IPv4Address, IPv4Network, IPv6Address, IPv6Network), str),
    (Mapping, dict),
    ((Sequence, Set, MappingView), list),
)
