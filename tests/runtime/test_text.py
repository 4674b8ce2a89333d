"""The limits on the length of messages and tracebacks."""

import pytest
from runtime.text import (
    MESSAGE_CHARACTERS,
    TRACEBACK_CHARACTERS,
    format_traceback,
    truncate,
)


@pytest.mark.parametrize("text", ["", "short", "x" * MESSAGE_CHARACTERS])
def test_short_text_is_unchanged(text: str) -> None:
    assert truncate(text) == text


def test_long_text_keeps_its_first_and_last_part() -> None:
    text = "the problem" + "x" * 1_512_935 + "the advice"
    truncated = truncate(text)
    surplus = len(text) - MESSAGE_CHARACTERS
    assert truncated.startswith("the problemxxx")
    assert truncated.endswith("xxxthe advice")
    assert f"x… ({surplus:,} characters more) …x" in truncated
    assert len(truncated) < MESSAGE_CHARACTERS + 50


def test_text_of_one_character_more_counts_it() -> None:
    assert truncate("0123456789", 8) == "012345… (2 characters more) …89"


def test_traceback_keeps_the_first_and_last_part() -> None:
    try:
        raise ValueError("x" * 1_512_935 + " at the end")
    except ValueError as error:
        text = format_traceback(error)
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("x at the end\n")
    assert len(text) < TRACEBACK_CHARACTERS + 50
