"""Encode the answer of a predict function as JSON.

The server and predict-once both use this module. Therefore they accept the same answers.
"""

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import msgspec

from runtime.text import truncate
from runtime.values import is_iterator, to_plain

# A path with more parts than this is not readable.
MAX_DEPTH = 50
# An Encoder is faster than the function msgspec.json.encode.
_encode = msgspec.json.Encoder(enc_hook=to_plain).encode
ADVICE = "docs/adding-a-model.md lists the kinds of values that an answer may have."


class AnswerError(TypeError):
    """An answer with a value that has no JSON form; the message has its path."""

    # The train runner prints only the message and exits with this code.
    exit_code = 1


def check_answer(answer: Any) -> None:
    """Raise AnswerError unless an answer is a dict."""
    if not isinstance(answer, dict):
        found = type(answer).__name__
        raise AnswerError(f"a predict function must return a dict, found {found}")


def encode_value(value: Any) -> bytes:
    """Return a value as JSON.

    Raises AnswerError with the path of a part that has no JSON form.
    """
    try:
        return _encode(value)
    except Exception:
        return _encode_with_iterators(value)


def _encode_with_iterators(value: Any) -> bytes:
    """Return a value as JSON; it may have iterators."""
    converter = Converter()
    try:
        return msgspec.json.encode(value, enc_hook=converter)
    except Exception as error:
        found = locate(value, converter)
        # An iterator has failed.
        if found is None:
            raise
        path, problem = found
        raise AnswerError(f"{truncate(path.lstrip('.'))}: {truncate(problem)}. {ADVICE}") from error


class Converter:
    """to_plain that also converts iterators; it converts the same iterator only once."""

    def __init__(self) -> None:
        self._items: dict[int, tuple[Any, list[Any]]] = {}

    def __call__(self, value: Any) -> Any:
        if not is_iterator(value):
            return to_plain(value)
        if id(value) not in self._items:
            # The iterator is kept, so that no other object gets its id.
            self._items[id(value)] = (value, list(value))
        return self._items[id(value)][1]


def locate(
    value: Any, converter: Converter, path: str = "", parents: tuple[int, ...] = ()
) -> tuple[str, str] | None:
    """Return the path of a part that has no JSON form, and the reason.

    It is the first such part of `value`. Returns None if there is none.
    """
    problem = _problem(value, converter)
    if problem is None:
        return None
    if id(value) in parents:
        return path, "it contains itself"
    if len(parents) == MAX_DEPTH:
        return path, problem

    for name, part in _parts(value, converter):
        found = locate(part, converter, path + name, (*parents, id(value)))
        if found:
            return found
    return path, problem


def _problem(value: Any, converter: Converter) -> str | None:
    try:
        msgspec.json.encode(value, enc_hook=converter)
    except Exception as error:
        return str(error)
    return None


def _parts(value: Any, converter: Converter) -> list[tuple[str, Any]]:
    """Return the parts of a value, each with its addition to the path."""
    if isinstance(value, dict):
        return [(f".{key}", part) for key, part in value.items()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [(f"[{index}]", part) for index, part in enumerate(value)]
    if is_dataclass(value):
        return [(f".{field.name}", getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, Enum):
        return [("", value.value)]

    try:
        converted = converter(value)
    except Exception:
        return []
    return [] if converted is value else [("", converted)]
