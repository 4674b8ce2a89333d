"""Answers as JSON: each kind of value has one form, or an error with its path.

The server and predict-once must agree. The control is the two encoders of the first version.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from runtime.answer import AnswerError, encode_value
from runtime.endpoint import Endpoint
from support.applications import PYTHONPATH
from support.commands import ROOT, Completed, run
from support.values import (
    FORMS,
    NO_FORMS,
    SAME_FORMS,
    first_runner,
    first_server,
    value_of,
)

ADVICE = "docs/adding-a-model.md lists the kinds of values that an answer may have."
BODY = b'{"payload": 1}'
APPLICATION = """
from support.values import value_of

def predict(msg):
    if isinstance(msg.payload, str):
        return value_of(msg.payload)
    return {expression: value_of(expression) for expression in msg.payload}
"""


def predict_once(directory: Path, payload: object) -> Completed:
    """Run predict-once on APPLICATION, which evaluates the payload."""
    (directory / "app.py").write_text(APPLICATION)
    environment = {
        "PYTHONPATH": f"{PYTHONPATH}:{ROOT / 'tests'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TRAIN_MODULE": "app",
        "TRAIN_FUNCTION": "predict",
        "PREDICT_MODULE": "app",
        "PREDICT_FUNCTION": "predict",
        "PAYLOAD": json.dumps(payload),
    }
    command = (sys.executable, "-m", "runtime.train")
    return run(*command, cwd=directory, env=environment, seconds=60)


@pytest.mark.parametrize("expression", [*SAME_FORMS, *FORMS])
def test_server_encodes_each_kind_of_value(expression: str) -> None:
    endpoint = Endpoint("a", lambda msg: {"a": value_of(expression)})
    response = endpoint.answer(BODY)

    assert response.status == 200, response.traceback
    expected = {**SAME_FORMS, **FORMS}[expression]
    assert json.loads(response.body) == {"payload": {"a": expected}}


def test_predict_once_encodes_each_kind_of_value(tmp_path: Path) -> None:
    expected = {**SAME_FORMS, **FORMS}
    done = predict_once(tmp_path, list(expected))

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected


def is_correct(encode: Callable[[Any], Any], expression: str, expected: object) -> bool:
    """Return whether an encoder gives the expected JSON."""
    try:
        return bool(encode(value_of(expression)) == expected)
    except Exception:
        return False


@pytest.mark.parametrize("expression", FORMS)
def test_first_encoders_differ_from_the_form(expression: str) -> None:
    encoders = (first_server, first_runner)
    results = [is_correct(encode, expression, FORMS[expression]) for encode in encoders]
    assert not all(results)


@pytest.mark.parametrize("expression", SAME_FORMS)
def test_first_encoders_agree_on_the_forms_that_stay(expression: str) -> None:
    for encode in (first_server, first_runner):
        assert is_correct(encode, expression, SAME_FORMS[expression])


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("expression", NO_FORMS)
def test_server_logs_the_path_of_a_value_without_json_form(expression: str) -> None:
    response = Endpoint("a", lambda msg: value_of(expression)).answer(BODY)

    assert response.status == 500
    assert json.loads(response.body)["error"]["code"] == "internal_error"
    assert f"AnswerError: {NO_FORMS[expression]}" in response.traceback


@pytest.mark.parametrize("expression", list(NO_FORMS)[::4])
def test_predict_once_prints_the_path_of_a_value_without_json_form(
    tmp_path: Path, expression: str
) -> None:
    done = predict_once(tmp_path, expression)

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"predict-once: {NO_FORMS[expression]}")


def test_error_of_a_value_says_where_the_forms_are_listed() -> None:
    with pytest.raises(AnswerError) as raised:
        encode_value({"a": [1, {"b": 1j}]})
    assert str(raised.value) == f"a[1].b: complex has no JSON form. {ADVICE}"


def test_lists_that_are_nested_too_deeply_have_a_short_path() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(AnswerError, match=r"^a(\[0\])+: maximum recursion depth exceeded"):
        encode_value({"a": deep})


def test_error_of_an_iterator_is_the_application_s_own() -> None:
    def rows() -> Iterator[int]:
        yield 1
        raise ValueError("a private detail")

    with pytest.raises(ValueError, match="^a private detail$"):
        encode_value({"a": rows()})


def test_iterators_of_an_answer_are_read_once() -> None:
    numbers = iter(range(3))
    assert encode_value({"a": numbers, "b": numbers}) == b'{"a":[0,1,2],"b":[0,1,2]}'
