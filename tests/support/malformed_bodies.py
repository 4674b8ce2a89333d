"""Malformed and hostile request bodies: CORPUS, and `mutated` for random ones."""

import json
from typing import Any

from hypothesis import strategies as st
from support.models import MODEL_DIRS, example_rows, instances_body, list_row, object_row

ROWS = example_rows(MODEL_DIRS[0])
LIST = list_row(MODEL_DIRS[0])
OBJECT = object_row(MODEL_DIRS[0])

NUMBERS = """
0 -0 1e308 -1e308 1e-400 1e999 NaN Infinity -Infinity 01 1. .5 +1 0x10 1e 1_0 1e+
9223372036854775808
"""
STRINGS = r"""
"" " " "\u0000" "\ud800" "\udfff\ud800" "\ud83d\ude00" "\u202e" "\x" "\u12" "a\/b" "'" "{{7*7}}"
"${7*7}" "../../x" "%s%n" "<b>"
"""
VALUES = [
    *NUMBERS.split(),
    *STRINGS.split(),
    "null",
    "true",
    "false",
    "[]",
    "{}",
    "[[]]",
    "1" * 400,
    f'"{"x" * 10_000}"',
]
FRAMES = [
    '{{"payload":{}}}',
    '{{"payload":{{"instances":{}}}}}',
    '{{"payload":{{"instances":[{}]}}}}',
    '{{"payload":{{"instances":[[{}]]}}}}',
    '{{"payload":{{"instances":[{{"age":{}}}]}}}}',
]
COMPLETE: list[bytes] = [
    b"",
    b" ",
    b"\0",
    b"\xff\xfe{\0}\0",
    b"\xef\xbb\xbf{}",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"{",
    b"}",
    b"[",
    b"{}",
    b"[]",
    b"null",
    b"1",
    b'"payload"',
    b"{'payload': 1}",
    b"{payload: 1}",
    b'{"payload": 1,}',
    b'{"payload" 1}',
    b'{"payload": 1} {"payload": 1}',
    b'{"payload": 1}x',
    b'{"payload": 1}\0',
    b'// c\n{"payload": 1}',
    b'{"Payload": 1}',
    b'{"payload": undefined}',
    b'{"payload": {"instances": [], "instances": 1}}',
    b"payload=1",
    b"<payload>1</payload>",
    b"--- payload",
    b"\x80\x05K\x01.",
    b"\x1f\x8b\x08\0",
    b"PK\x03\x04",
    b"%PDF-1.7",
    b"\x93NUMPY",
    b"\x81\xa7payload\x01",
    b"[" * 1000,
    b"[" * 100_000,
    b'{"a":' * 5000,
    b'{"payload":' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"payload":"' + b"\\" * 9999,
    b'{"__proto__": {"payload": 1}, "constructor": 2}',
    b'{"payload": {"__class__": "os.system", "$ref": "../x"}}',
]
CONTENT_TYPES = [
    "application/json; charset=utf-16",
    "text/plain",
    "a/b+json",
    "",
    "\xff",
    "application/x-ndjson",
]


def framed_values() -> list[bytes]:
    """Return a body for every odd value at every depth."""
    return [frame.format(value).encode() for frame in FRAMES for value in VALUES]


def odd_rows() -> list[Any]:
    """Return valid rows with one fault in each."""
    rows: list[Any] = [
        LIST[:-1],
        [*LIST, 1],
        [],
        [None] * len(LIST),
        [LIST],
        [[LIST]],
        LIST[::-1],
        [[*LIST[:-1], [1]]],
        {},
        {**OBJECT, "": 1},
        {**OBJECT, "other": 1},
        {key: str(value) for key, value in OBJECT.items()},
        {key.upper(): 1 for key in OBJECT},
        {"age": 1},
        dict.fromkeys(OBJECT),
        dict.fromkeys(OBJECT, True),
        dict.fromkeys(OBJECT, 10**400),
        dict.fromkeys(OBJECT, []),
    ]
    for key in OBJECT:
        for value in (None, "nowhere", -1e300, 10**30, {"a": 1}, [1]):
            rows.append({**OBJECT, key: value})
    return rows


def odd_batches() -> list[Any]:
    """Return instances that mix forms of rows, or are not a list of rows."""
    return [
        [OBJECT, LIST, 1],
        [LIST, OBJECT, None],
        [[], {}],
        [1, [1]],
        [LIST, LIST[:-1]],
        "rows",
        {"0": LIST},
        3,
    ]


CORPUS = [
    *COMPLETE,
    *framed_values(),
    *(instances_body([row]) for row in odd_rows()),
    *(instances_body(batch) for batch in odd_batches()),
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a valid body and remove, repeat or replace some of its bytes."""
    rows = draw(st.lists(st.sampled_from(ROWS), max_size=3))
    body = bytearray(json.dumps({"payload": {"instances": rows}}).encode())

    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 12)))
        pieces = [
            st.binary(max_size=6),
            st.just(bytes(body[start:end]) * 2),
            st.sampled_from(VALUES).map(str.encode),
        ]
        body[start:end] = draw(st.one_of(pieces))

    return bytes(body)
