"""Values of every kind that an answer may have, and values that have no JSON form.

FORMS maps an expression to its JSON value. The encoders of the first version, `first_server` and
`first_runner`, gave other results for all of them, or one of the two did. SAME_FORMS are those that
both encoded correctly. NO_FORMS maps an expression of an answer to the error. `value_of` evaluates
an expression.
"""

import array
import asyncio
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import ipaddress
import itertools
import json
import pathlib
import types
import typing
import uuid
from typing import Any

import msgspec
import numpy as np
import pandas as pd

# The expressions use these modules and the names of this module.
MODULES = (array, asyncio, collections, datetime, decimal, fractions, ipaddress, itertools)
MODULES += (pathlib, types, uuid)


class Colour(enum.Enum):
    """An enumeration of a text, a path and a complex number."""

    RED = "red"
    PATH = pathlib.PurePosixPath("a/b")
    COMPLEX = 1j


class Level(enum.IntEnum):
    """An enumeration of whole numbers."""

    HIGH = 3


class Point(typing.NamedTuple):
    """A named tuple."""

    x: int
    y: Any


@dataclasses.dataclass
class Record:
    """A data class."""

    name: str
    value: Any = None


class OwnInt(int):
    """A subclass of int."""


class OwnText(str):
    """A subclass of str."""


class OwnDate(datetime.datetime):
    """A subclass of datetime, as libraries for time have."""


STRUCTURED = np.array([(1, "2020-01-02")], dtype=[("a", "i4"), ("t", "M8[ns]")])
TABLE = pd.DataFrame(
    {
        "n": pd.array([1, None], dtype="Int64"),
        "t": pd.to_datetime(["2020-01-02", None]),
        "s": ["x", None],
        "c": pd.Categorical(["u", "v"]),
    }
)
ROWS = [
    {"n": 1, "t": "2020-01-02T00:00:00", "s": "x", "c": "u"},
    {"n": None, "t": None, "s": None, "c": "v"},
]
TWICE = pd.DataFrame([[1, 2]], columns=["a", "a"])
NESTED = pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")]))


def itself() -> dict[str, Any]:
    """Return an answer that contains itself."""
    answer: dict[str, Any] = {"a": [{}]}
    answer["a"][0]["b"] = answer
    return answer


async def coroutine() -> None:
    """Do nothing."""


SAME_FORMS = {
    "None": None,
    "[True, 1, 0.5, 'é']": [True, 1, 0.5, "é"],
    "[float('nan'), float('inf')]": [None, None],
    "(1, (2,))": [1, [2]],
    "Point(1, 'a')": [1, "a"],
    "10 ** 30": 10**30,
    "{1: 2, 0.5: 3, 'b': 4}": {"1": 2, "0.5": 3, "b": 4},
    "collections.OrderedDict(a=1)": {"a": 1},
    "array.array('d', [0.5])": [0.5],
    "[np.int64(1), np.float32(0.5), np.bool_(True), np.str_('a'), np.uint64(2**64 - 1)]": [
        1,
        0.5,
        True,
        "a",
        2**64 - 1,
    ],
    "np.float16(0.5)": 0.5,
    "np.float64('nan')": None,
    "np.array([[1, 2], [3, 4]])": [[1, 2], [3, 4]],
    "np.array(7)": 7,
    "np.array(['a', 'é'])": ["a", "é"],
    "np.array(['a', 'é'], dtype=np.dtypes.StringDType())": ["a", "é"],
    "np.array([{'a': 1}, None], dtype=object)": [{"a": 1}, None],
    "np.ma.array([1, 2], mask=[False, True])": [1, None],
    "np.array([(1, 0.5)], dtype=[('a', 'i4'), ('b', 'f8')])": [[1, 0.5]],
    "pd.Series([1, 2])": [1, 2],
    "pd.Index(['a'])": ["a"],
    "pd.Categorical(['b', 'a'])": ["b", "a"],
    "pd.Series(pd.Categorical(['a', None]))": ["a", None],
    "pd.Series([1, 0], dtype='Sparse[int]')": [1, 0],
}
FORMS = {
    # The standard library
    "decimal.Decimal('1.50')": "1.50",
    "fractions.Fraction(1, 3)": "1/3",
    "datetime.datetime(2020, 1, 2, 3, 4, 5)": "2020-01-02T03:04:05",
    "datetime.datetime(2020, 1, 2, 3, 4, 5, 600)": "2020-01-02T03:04:05.000600",
    "datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)": "2020-01-02T00:00:00Z",
    "OwnDate(2020, 1, 2, tzinfo=datetime.UTC)": "2020-01-02T00:00:00Z",
    "datetime.date(2020, 1, 2)": "2020-01-02",
    "datetime.time(1, 2, 3)": "01:02:03",
    "datetime.timedelta(days=1, seconds=61)": "P1DT61S",
    "datetime.timedelta(milliseconds=-1500)": "-PT1.5S",
    "{3}": [3],
    "frozenset([3])": [3],
    "b'ab'": "YWI=",
    "bytearray(b'ab')": "YWI=",
    "memoryview(b'ab')": "YWI=",
    "[Colour.RED, Colour.PATH, Level.HIGH]": ["red", "a/b", 3],
    "Record('a', {2})": {"name": "a", "value": [2]},
    "Record('a', Record('b'))": {"name": "a", "value": {"name": "b", "value": None}},
    "uuid.UUID(int=1)": "00000000-0000-0000-0000-000000000001",
    "pathlib.PurePosixPath('a/b')": "a/b",
    "ipaddress.ip_address('::1')": "::1",
    "range(3)": [0, 1, 2],
    "(number for number in [1, pathlib.PurePosixPath('a')])": [1, "a"],
    "[iter([1]), map(str, [1]), zip('a', 'b'), reversed([1, 2])]": [
        [1],
        ["1"],
        [["a", "b"]],
        [2, 1],
    ],
    "itertools.chain([1], iter([2]))": [1, 2],
    "[{'a': 1}.keys(), {'a': 1}.values(), {'a': 1}.items()]": [["a"], [1], [["a", 1]]],
    "collections.deque([1])": [1],
    "collections.ChainMap({'a': 1})": {"a": 1},
    "collections.UserDict(a=1)": {"a": 1},
    "collections.UserList([1])": [1],
    "collections.UserString('a')": "a",
    "types.MappingProxyType({'a': 1})": {"a": 1},
    "[OwnInt(3), OwnText('a')]": [3, "a"],
    # Keys
    "{True: 1, None: 2}": {"true": 1, "null": 2},
    "{np.int64(3): 1, np.bool_(False): 2, np.str_('a'): 3}": {"3": 1, "false": 2, "a": 3},
    "{datetime.date(2020, 1, 2): 1, pd.Timestamp('2020'): 2}": {
        "2020-01-02": 1,
        "2020-01-01T00:00:00": 2,
    },
    "{Colour.RED: 1, Level.HIGH: 2}": {"red": 1, "3": 2},
    # numpy
    "np.longdouble('0.5')": 0.5,
    "np.array([0.5, np.inf], dtype=np.longdouble)": [0.5, None],
    "[np.datetime64('2020-01-02'), np.datetime64('2020')]": ["2020-01-02", "2020"],
    "np.datetime64('2020-01-02', 'ns')": "2020-01-02T00:00:00",
    "np.datetime64('2020-01-02T03:04:05.5')": "2020-01-02T03:04:05.500000",
    "np.datetime64(1, 'ns')": "1970-01-01T00:00:00.000000001",
    "np.array([['2020-01-02', 'NaT']], dtype='M8[ns]')": [["2020-01-02T00:00:00", None]],
    "[np.timedelta64(1, 'ns'), np.timedelta64('NaT'), np.timedelta64(0, 's')]": [
        "PT0.000000001S",
        None,
        "P0D",
    ],
    "[np.timedelta64(90, 'm'), np.timedelta64(-36, 'h'), np.timedelta64(2, 'W')]": [
        "PT5400S",
        "-P1DT43200S",
        "P14D",
    ],
    "[np.timedelta64(-2, 'Y'), np.timedelta64(3, 'M'), np.timedelta64(3)]": ["-P2Y", "P3M", 3],
    "np.timedelta64(10 ** 15, 's')": "P11574074074DT6400S",
    "STRUCTURED": [[1, "2020-01-02T00:00:00"]],
    "[STRUCTURED[0], STRUCTURED.view(np.recarray)[0], np.array(STRUCTURED[0])]": [
        [1, "2020-01-02T00:00:00"]
    ]
    * 3,
    "np.ma.array(STRUCTURED, mask=[(True, False)])": [[None, "2020-01-02T00:00:00"]],
    "np.ma.array(np.array(['2020', '2021'], 'M8[Y]'), mask=[1, 0])": [None, "2021"],
    "np.array([pathlib.PurePosixPath('a')], dtype=object)": ["a"],
    "[np.bytes_(b'ab'), np.void(b'ab'), np.array([b'ab'])]": ["YWI=", "YWI=", ["YWI="]],
    # pandas
    "TABLE": ROWS,
    "[pd.NA, pd.NaT]": [None, None],
    "pd.Series([1, None], dtype='Int64')": [1, None],
    "pd.array([True, None], dtype='boolean')": [True, None],
    "pd.array(['a', None], dtype='string')": ["a", None],
    "pd.Series(pd.to_datetime(['2020-01-02', None]))": ["2020-01-02T00:00:00", None],
    "pd.Timestamp('2020-01-02 03:04:05')": "2020-01-02T03:04:05",
    "pd.Timestamp('2020-01-02', tz='UTC')": "2020-01-02T00:00:00Z",
    "pd.Timestamp('2020-07-02', tz='Europe/Berlin')": "2020-07-02T00:00:00+02:00",
    "pd.Timestamp(1)": "1970-01-01T00:00:00.000000001",
    "[pd.Timedelta('1 days 00:01:01'), pd.Timedelta(1, 'ns')]": ["P1DT61S", "PT0.000000001S"],
    "pd.timedelta_range('1s', periods=1)": ["PT1S"],
    "[pd.Period('2020-01'), pd.Interval(0, 1)]": ["2020-01", "(0, 1]"],
    "pd.period_range('2020', periods=1, freq='M')": ["2020-01"],
    "pd.interval_range(0, 1)": ["(0, 1]"],
    "pd.MultiIndex.from_tuples([(1, pd.NaT)])": [[1, None]],
    "pd.Series([datetime.date(2020, 1, 2)])": ["2020-01-02"],
}
NO_FORMS = {
    "{'a': object()}": "a: object has no JSON form",
    "{'a': [{'b': 1j}]}": "a[0].b: complex has no JSON form",
    "{'predictions': [0, 0, 0, {'when': len}]}": (
        "predictions[3].when: builtin_function_or_method has no JSON form"
    ),
    "{'a': np.array([[1j]])}": "a[0][0]: numpy.complex128 has no JSON form",
    "{'a': np.array([object()])}": "a[0]: object has no JSON form",
    "{'a': Record('b', Point(1, 1j))}": "a.value[1]: complex has no JSON form",
    "{'a': Colour.COMPLEX}": "a: complex has no JSON form",
    "{'a': ({'b': part} for part in [1, 1j])}": "a[1].b: complex has no JSON form",
    "{'a': pd.DataFrame({'b': [1j]})}": "a[0].b: complex has no JSON form",
    "{'a': pd.Series([1, len])}": "a[1]: builtin_function_or_method has no JSON form",
    "{'a': '\\ud800'}": "a: 'utf-8' codec can't encode character",
    "{'a': {'\\ud800': 1}}": "a: 'utf-8' codec can't encode character",
    "{'a': 10 ** 5000}": "a: Exceeds the limit",
    "{'a': {(1, 2): 3}}": "a: (1, 2) is not the key of a JSON object",
    "{'a': {1j: 3}}": "a: complex has no JSON form",
    "{'a': TWICE}": "a: a DataFrame has more than one column 'a'",
    "{'a': NESTED}": "a[0]: ('a', 'b') is not the key of a JSON object",
    "{'a': int}": "a: type has no JSON form",
    "{'a': open('/dev/null')}": "a: _io.TextIOWrapper has no JSON form",
    "{'a': ValueError('b')}": "a: ValueError has no JSON form",
    "{'a': asyncio.Lock()}": "a: asyncio.locks.Lock has no JSON form",
    "itself()": "a[0].b: it contains itself",
    "[1]": "a predict function must return a dict, found list",
    "None": "a predict function must return a dict, found NoneType",
    "TABLE": "a predict function must return a dict, found DataFrame",
    "Record('a')": "a predict function must return a dict, found Record",
}


def value_of(expression: str) -> Any:
    """Return the value of one of the expressions."""
    modules = {module.__name__: module for module in MODULES}
    return eval(expression, {**modules, **globals()})


def first_to_plain(value: Any) -> Any:
    """Convert a value as the first version did."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")


def first_server(answer: Any) -> Any:
    """Encode an answer as the server of the first version did, and decode it."""
    return json.loads(msgspec.json.encode(answer, enc_hook=first_to_plain))


def first_runner(answer: Any) -> Any:
    """Encode an answer as predict-once of the first version did, and decode it."""
    text = json.dumps(answer, default=first_to_plain)
    return json.loads(text, parse_constant=lambda constant: None)
