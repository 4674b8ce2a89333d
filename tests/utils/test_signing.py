"""Test which keys are read, and which files they sign and reject.

tests/faults/test_signatures.py tests signed files in training, serving and under make.
"""

import os
from pathlib import Path

import pytest

from utils.errors import ModelFileError
from utils.signing import HMAC_MAGIC, KEY_BYTES, hmac_keys, sign, verify

OLD, NEW, OTHER = (letter * KEY_BYTES for letter in (b"o", b"n", b"x"))
CONTENT = b"a model file"
PATH = Path("models/m.pkl")


def use_key_file(monkeypatch: pytest.MonkeyPatch, path: str | Path) -> None:
    monkeypatch.setenv("MODEL_HMAC_KEY_FILE", str(path))


def problem(content: bytes, keys: list[bytes]) -> str:
    """Return the reason why verify() rejects `content`, without path and advice."""
    with pytest.raises(ModelFileError) as caught:
        verify(content, keys, PATH)
    message = str(caught.value)
    advice = " in MODEL_HMAC_KEY_FILE. Train the model again with that file."
    assert message.startswith(f"{PATH}: ") and message.endswith(advice)
    return message.removeprefix(f"{PATH}: ").removesuffix(advice)


@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_no_variable_means_no_keys(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("MODEL_HMAC_KEY_FILE", raising=False)
    if value is not None:
        use_key_file(monkeypatch, value)
    assert hmac_keys() == []


def test_keys_are_the_lines_of_the_file_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").write_bytes(b"\n  " + NEW + b" \r\n\n" + OLD)
    use_key_file(monkeypatch, tmp_path / "keys")
    assert hmac_keys() == [NEW, OLD]


@pytest.mark.parametrize(
    ("content", "sizes"),
    [(b"", []), (b"\n \n", []), (NEW[:-1], [31]), (NEW + b"\nshort", [32, 5])],
    ids=["empty", "blank", "one byte short", "one of two short"],
)
def test_short_keys_are_rejected_with_their_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, sizes: list[int]
) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    use_key_file(monkeypatch, file)
    with pytest.raises(ModelFileError) as caught:
        hmac_keys()
    assert str(caught.value) == (
        f"MODEL_HMAC_KEY_FILE={file}: expected the absolute path of a file with one key of at "
        "least 32 bytes per line (`openssl rand -hex 32` prints one), "
        f"found keys of {sizes} bytes"
    )


@pytest.mark.parametrize("name", ["none", "directory", "pipe"])
def test_path_of_no_regular_file_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    use_key_file(monkeypatch, tmp_path / name)
    with pytest.raises(ModelFileError, match="found keys of \\[\\] bytes"):
        hmac_keys()


def test_relative_path_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("keys").write_bytes(NEW)
    use_key_file(monkeypatch, "keys")
    with pytest.raises(ModelFileError, match="^MODEL_HMAC_KEY_FILE=keys: expected the absolute"):
        hmac_keys()
    use_key_file(monkeypatch, tmp_path / "keys")
    assert hmac_keys() == [NEW]


def test_any_key_verifies_what_the_first_one_signed() -> None:
    signed = sign(CONTENT, [NEW, OLD])
    assert signed != sign(CONTENT, [OLD, NEW])
    for keys in ([NEW], [NEW, OLD], [OLD, NEW]):
        assert verify(signed, keys, PATH) == CONTENT
    assert problem(signed, [OLD]) == "Signature matches no key"


def test_every_flipped_byte_is_found() -> None:
    signed = sign(CONTENT, [NEW])
    problems = []
    for place in range(len(signed)):
        flipped = bytearray(signed)
        flipped[place] ^= 1
        problems.append(problem(bytes(flipped), [NEW]))

    in_magic = len(HMAC_MAGIC)
    assert set(problems[:-in_magic]) == {"Signature matches no key"}
    assert set(problems[-in_magic:]) == {"No signature of a key"}
    assert verify(signed, [NEW], PATH) == CONTENT


def test_content_without_hmac_is_rejected_only_with_keys() -> None:
    assert sign(CONTENT, []) == CONTENT
    assert problem(CONTENT, [NEW]) == "No signature of a key"
    assert verify(CONTENT, [], PATH) == CONTENT


def test_hmac_is_skipped_without_keys() -> None:
    assert verify(sign(CONTENT, [OTHER]), [], PATH) == CONTENT
    assert problem(sign(CONTENT, [OTHER]), [NEW, OLD]) == "Signature matches no key"
