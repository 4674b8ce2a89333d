"""Signed model files: with a key only what a holder of a key wrote is read, in training, serving and under make."""

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, make, make_clone, run, setting, train
from support.figures import Figure, times

from utils.encode_decode import (
    HMAC_MAGIC,
    KEY_BYTES,
    MAGIC,
    TRAILER_BYTES,
    ModelFileError,
    init_model,
    pickle_model,
)

CONTENTS: dict[str, Any] = {
    "modelName": "m",
    "model": b"onnx" * 50,
    "scaler": {},
    "schema": {},
    "golden": {},
}
OLD, NEW, OTHER = (letter * KEY_BYTES for letter in "onx")
MODEL = "logisticRegression"
NAME = setting(MODEL, "MODEL_NAME")
Use = Callable[..., None]


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Use:
    """Sets MODEL_HMAC_KEY_FILE to a file of these keys, or unsets it if there are none."""

    def set_keys(*keys: str) -> None:
        (tmp_path / "keys").write_text("".join(f"{key}\n" for key in keys))
        if keys:
            monkeypatch.setenv("MODEL_HMAC_KEY_FILE", str(tmp_path / "keys"))
        else:
            monkeypatch.delenv("MODEL_HMAC_KEY_FILE", raising=False)

    return set_keys


def refused(directory: Path) -> bool:
    """Whether the model file is refused for its HMAC; it must be taken otherwise."""
    try:
        init_model("m", directory)
    except ModelFileError as error:
        assert "in MODEL_HMAC_KEY_FILE; train the model again with that file" in str(error)
        return True
    return False


def redigested(content: bytes) -> bytes:
    """A forger's work: other contents under a digest that anyone can compute, the old HMAC behind it."""
    body = content[: -2 * TRAILER_BYTES].replace(b"onnx", b"evil")
    return body + hashlib.sha256(body).digest() + MAGIC + content[-TRAILER_BYTES:]


def test_a_signature_is_the_hmac_of_the_unsigned_file(tmp_path: Path, use: Use) -> None:
    use()
    unsigned = pickle_model(CONTENTS, tmp_path).read_bytes()
    use(OLD)
    signed = pickle_model(CONTENTS, tmp_path).read_bytes()
    command = ("openssl", "dgst", "-sha256", "-hmac", OLD, "-r", tmp_path / "unsigned")
    (tmp_path / "unsigned").write_bytes(unsigned)
    expected = run(*command).stdout.split()[0]
    assert signed == unsigned + bytes.fromhex(expected) + HMAC_MAGIC


def test_a_forged_file_is_refused(tmp_path: Path, use: Use, figure: Figure) -> None:
    use(OLD)
    path = pickle_model(CONTENTS, tmp_path)
    content = path.read_bytes()
    unsigned, code = content[:-TRAILER_BYTES], content[-TRAILER_BYTES : -len(HMAC_MAGIC)]
    taken = 0
    forged = {
        "another body under a right digest": redigested(content),
        "the HMAC cut off": unsigned,
        "no code": unsigned + HMAC_MAGIC,
        "zeros": unsigned + bytes(32) + HMAC_MAGIC,
        "an HMAC by the digest as key": unsigned + hashlib.sha256(unsigned).digest() + HMAC_MAGIC,
        "signed twice": content + code + HMAC_MAGIC,
        "half a code": unsigned + code[:16] + HMAC_MAGIC,
    }
    for forgery in forged.values():
        path.write_bytes(forgery)
        use(OLD)
        with pytest.raises(ModelFileError):
            init_model("m", tmp_path)
        use()
        taken += not refused_at_all(tmp_path)
    path.write_bytes(redigested(content))
    assert init_model("m", tmp_path)["model"] == b"evil" * 50  # the digest alone
    figure(f"forged signatures: {len(forged)}", "all refused", f"digest alone takes {taken}")


def refused_at_all(directory: Path) -> bool:
    """Whether the model file is refused for whatever reason."""
    try:
        init_model("m", directory)
    except ModelFileError:
        return True
    return False


def test_a_flipped_bit_of_a_signed_file_is_refused(
    tmp_path: Path, use: Use, figure: Figure
) -> None:
    use(OLD)
    path = pickle_model(CONTENTS, tmp_path)
    content = path.read_bytes()
    places = range(0, 8 * len(content), times(1, 8))
    for place in places:
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        assert refused_at_all(tmp_path)
    path.write_bytes(content)
    assert not refused(tmp_path)
    figure("a signed file, a bit flipped", f"{len(places):,} of {len(places):,} refused")


def test_keys_are_rotated_without_a_gap(tmp_path: Path, use: Use) -> None:
    use(OLD)
    pickle_model(CONTENTS, tmp_path)
    use(NEW, OLD)
    assert not refused(tmp_path)
    pickle_model(CONTENTS, tmp_path)  # trained again: the first key signs
    use(NEW)
    assert not refused(tmp_path)
    use(OLD)
    assert refused(tmp_path)


def test_unsigned_files_stay_readable_and_signed_ones_without_a_key(
    tmp_path: Path, use: Use
) -> None:
    use()
    pickle_model(CONTENTS, tmp_path)
    digest = init_model("m", tmp_path)["digest"]
    use(OLD)
    assert refused(tmp_path)
    pickle_model(CONTENTS, tmp_path)
    assert init_model("m", tmp_path)["digest"] == digest
    use(OTHER)
    assert refused(tmp_path)
    use()
    assert init_model("m", tmp_path)["digest"] == digest


EXPECTED = (
    f"expected the absolute path of a file with a key of at least {KEY_BYTES} bytes a line "
    "(`openssl rand -hex 32` prints one), found keys of "
)


@pytest.mark.parametrize(
    ("content", "lengths"),
    [
        ("", []),
        ("\n \n", []),
        ("k" * 31 + "\n", [31]),
        (" " * 40 + "k\n", [1]),
        ("k" * 32 + "\nshort\n", [32, 5]),
    ],
)
def test_a_short_key_is_refused_and_not_shown(
    tmp_path: Path, use: Use, content: str, lengths: list[int]
) -> None:
    use(OLD)
    (tmp_path / "keys").write_text(content)
    with pytest.raises(ModelFileError) as caught:
        pickle_model(CONTENTS, tmp_path)
    assert str(caught.value) == f"MODEL_HMAC_KEY_FILE={tmp_path}/keys: {EXPECTED}{lengths} bytes"
    assert os.listdir(tmp_path) == ["keys"]


@pytest.mark.parametrize(
    "make_it", [lambda path: None, Path.mkdir, os.mkfifo], ids=["nothing", "a folder", "a pipe"]
)
def test_what_is_no_key_file_is_refused(
    tmp_path: Path, make_it: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_it(tmp_path / "keys")
    monkeypatch.chdir(tmp_path)
    for name in (str(tmp_path / "keys"), "keys"):
        monkeypatch.setenv("MODEL_HMAC_KEY_FILE", name)
        with pytest.raises(ModelFileError) as caught:
            init_model_of(tmp_path)
        assert str(caught.value) == f"MODEL_HMAC_KEY_FILE={name}: {EXPECTED}[] bytes"


def init_model_of(directory: Path) -> None:
    """Reads an unsigned model file."""
    (directory / "m.pkl").write_bytes(b"x" * 100 + MAGIC)
    init_model("m", directory)


def test_a_relative_path_is_refused(
    tmp_path: Path, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would name another file in every folder: make's, the model's, the image's."""
    use(OLD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODEL_HMAC_KEY_FILE", "keys")
    with pytest.raises(ModelFileError, match="expected the absolute path"):
        pickle_model(CONTENTS, tmp_path)


def test_a_link_to_a_key_is_followed_as_clusters_mount_secrets_so(tmp_path: Path, use: Use) -> None:
    use(OLD)
    pickle_model(CONTENTS, tmp_path)
    (tmp_path / "keys").rename(tmp_path / "..data")
    (tmp_path / "keys").symlink_to("..data")
    assert not refused(tmp_path)


def test_training_ends_with_78_before_its_work_if_the_key_is_bad(
    tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.setenv("MODEL_HMAC_KEY_FILE", str(tmp_path / "none"))
    done = train(tmp_path, MODEL)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == f"train: MODEL_HMAC_KEY_FILE={tmp_path}/none: {EXPECTED}[] bytes\n"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose model was trained with a key by make, under the local engine."""
    clone = make_clone(tmp_path_factory.mktemp("signed"))
    (clone / "keys").write_text(f"{OLD}\n")
    for targets in (["build-train", "train"], ["build-predict"]):
        done = make(clone, MODEL, *targets, engine="local", MODEL_HMAC_KEY_FILE=clone / "keys")
        assert done.returncode == 0, done.stderr
    return clone


def test_make_train_signs_and_make_predict_once_verifies(signed: Path) -> None:
    path = signed / "models" / f"{NAME}.pkl"
    assert path.read_bytes().endswith(HMAC_MAGIC) and stat.S_IMODE(path.stat().st_mode) == 0o644
    (signed / "others").write_text(f"{OTHER}\n")
    payload = '{"instances": []}'

    def answer(keys: object) -> tuple[int, str]:
        variables = {"MODEL_HMAC_KEY_FILE": keys, "PAYLOAD": payload}
        done = make(signed, MODEL, "predict-once", engine="local", **variables)
        return done.returncode, done.stdout + done.stderr

    assert '"predictions": []' in answer(signed / "keys")[1]
    assert '"predictions": []' in answer("")[1]
    code, said = answer(signed / "others")
    assert code != 0 and "its HMAC is of none of the keys in MODEL_HMAC_KEY_FILE" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "/none: expected the full path of a file"), ("short\n", "found keys of [5] bytes")],
)
def test_make_predict_ends_with_78_for_a_bad_key(
    signed: Path, content: str | None, said: str
) -> None:
    """make tells that there is no such file, the server that what is in it is no key."""
    name = "none" if content is None else "short"
    if content is not None:
        (signed / name).write_text(content)
    done = make(signed, MODEL, "predict", engine="local", MODEL_HMAC_KEY_FILE=signed / name)
    assert "Error 78" in done.stderr and said in done.stderr
