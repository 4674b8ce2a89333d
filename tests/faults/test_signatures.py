"""Signed model files: with a key, only files signed with that key are read.

This holds in training, in serving and under make.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.clones import make_clone
from support.commands import ROOT, Completed, make, output_of, run
from support.figures import Figure, times
from support.models import FASTEST, model_file, seal, train

from utils.encode_decode import MAGIC, TRAILER_BYTES, ModelFileError, init_model, pickle_model
from utils.signing import HMAC_MAGIC, KEY_BYTES

CONTENTS: dict[str, Any] = {
    "modelName": "m",
    "model": b"onnx" * 50,
    "scaler": {},
    "schema": {},
    "golden": {},
}
OLD = "o" * KEY_BYTES
NEW = "n" * KEY_BYTES
OTHER = "x" * KEY_BYTES
Use = Callable[..., None]


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Use:
    """A function that sets MODEL_HMAC_KEY_FILE to a file of keys, or unsets it."""

    def set_keys(*keys: str) -> None:
        file = tmp_path / "keys"
        file.write_text("".join(f"{key}\n" for key in keys))
        if keys:
            monkeypatch.setenv("MODEL_HMAC_KEY_FILE", str(file))
        else:
            monkeypatch.delenv("MODEL_HMAC_KEY_FILE", raising=False)

    return set_keys


def is_rejected_for_its_hmac(directory: Path) -> bool:
    """Return whether the model file is rejected for its HMAC and no other reason."""
    try:
        init_model("m", directory)
    except ModelFileError as error:
        assert "in MODEL_HMAC_KEY_FILE. Train the model again with that file." in str(error)
        return True
    return False


def with_other_body(content: bytes) -> bytes:
    """Return a forged file: another body with a valid digest, and the old HMAC.

    Anyone can compute a digest.
    """
    body = content[: -2 * TRAILER_BYTES].replace(b"onnx", b"evil")
    hmac = content[-TRAILER_BYTES:]
    return seal(body) + hmac


def test_a_signature_is_the_hmac_of_the_unsigned_file(tmp_path: Path, use: Use) -> None:
    use()
    unsigned = pickle_model(CONTENTS, tmp_path).read_bytes()
    use(OLD)
    signed = pickle_model(CONTENTS, tmp_path).read_bytes()
    command = ("openssl", "dgst", "-sha256", "-hmac", OLD, "-r", tmp_path / "unsigned")
    (tmp_path / "unsigned").write_bytes(unsigned)
    expected = run(*command).stdout.split()[0]
    assert signed == unsigned + bytes.fromhex(expected) + HMAC_MAGIC


def forgeries(content: bytes) -> dict[str, bytes]:
    """Return files that someone without a key can make from a signed file."""
    unsigned = content[:-TRAILER_BYTES]
    code = content[-TRAILER_BYTES : -len(HMAC_MAGIC)]
    return {
        "another body under a right digest": with_other_body(content),
        "the HMAC cut off": unsigned,
        "no code": unsigned + HMAC_MAGIC,
        "zeros": unsigned + bytes(32) + HMAC_MAGIC,
        "an HMAC by the digest as key": unsigned + hashlib.sha256(unsigned).digest() + HMAC_MAGIC,
        "signed twice": content + code + HMAC_MAGIC,
        "half a code": unsigned + code[:16] + HMAC_MAGIC,
    }


def test_a_forged_file_is_rejected(tmp_path: Path, use: Use, figure: Figure) -> None:
    use(OLD)
    path = pickle_model(CONTENTS, tmp_path)
    content = path.read_bytes()
    forged = forgeries(content)
    taken_by_digest = 0
    for forgery in forged.values():
        path.write_bytes(forgery)
        use(OLD)
        assert is_rejected(tmp_path)
        use()
        taken_by_digest += not is_rejected(tmp_path)

    path.write_bytes(with_other_body(content))
    assert init_model("m", tmp_path)["model"] == b"evil" * 50
    figure(
        f"forged signatures: {len(forged)}", "all rejected", f"digest alone takes {taken_by_digest}"
    )


def is_rejected(directory: Path) -> bool:
    """Return whether the model file is rejected, for any reason."""
    try:
        init_model("m", directory)
    except ModelFileError:
        return True
    return False


def test_a_flipped_bit_of_a_signed_file_is_rejected(
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
        assert is_rejected(tmp_path)
    path.write_bytes(content)
    assert not is_rejected_for_its_hmac(tmp_path)
    figure("a signed file, a bit flipped", f"{len(places):,} of {len(places):,} rejected")


def test_keys_are_rotated_without_a_gap(tmp_path: Path, use: Use) -> None:
    use(OLD)
    pickle_model(CONTENTS, tmp_path)
    use(NEW, OLD)
    assert not is_rejected_for_its_hmac(tmp_path)
    # Trained again: the first key signs.
    pickle_model(CONTENTS, tmp_path)
    use(NEW)
    assert not is_rejected_for_its_hmac(tmp_path)
    use(OLD)
    assert is_rejected_for_its_hmac(tmp_path)


def test_unsigned_files_stay_readable_and_signed_ones_without_a_key(
    tmp_path: Path, use: Use
) -> None:
    use()
    pickle_model(CONTENTS, tmp_path)
    digest = init_model("m", tmp_path)["digest"]
    use(OLD)
    assert is_rejected_for_its_hmac(tmp_path)
    pickle_model(CONTENTS, tmp_path)
    assert init_model("m", tmp_path)["digest"] == digest
    use(OTHER)
    assert is_rejected_for_its_hmac(tmp_path)
    use()
    assert init_model("m", tmp_path)["digest"] == digest


EXPECTED = (
    f"expected the absolute path of a file with one key of at least {KEY_BYTES} bytes per line "
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
def test_a_short_key_is_rejected_and_not_shown(
    tmp_path: Path, use: Use, content: str, lengths: list[int]
) -> None:
    use(OLD)
    (tmp_path / "keys").write_text(content)
    with pytest.raises(ModelFileError) as caught:
        pickle_model(CONTENTS, tmp_path)
    message = f"MODEL_HMAC_KEY_FILE={tmp_path}/keys: {EXPECTED}{lengths} bytes"
    assert str(caught.value) == message
    assert os.listdir(tmp_path) == ["keys"]


@pytest.mark.parametrize(
    "create", [lambda path: None, Path.mkdir, os.mkfifo], ids=["nothing", "a folder", "a pipe"]
)
def test_a_path_that_is_no_key_file_is_rejected(
    tmp_path: Path, create: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    create(tmp_path / "keys")
    (tmp_path / "m.pkl").write_bytes(b"x" * 100 + MAGIC)
    monkeypatch.chdir(tmp_path)
    for name in (str(tmp_path / "keys"), "keys"):
        monkeypatch.setenv("MODEL_HMAC_KEY_FILE", name)
        with pytest.raises(ModelFileError) as caught:
            init_model("m", tmp_path)
        assert str(caught.value) == f"MODEL_HMAC_KEY_FILE={name}: {EXPECTED}[] bytes"


def test_a_relative_path_is_rejected(
    tmp_path: Path, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    """make, the model directory and the image resolve a relative path differently."""
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
    assert not is_rejected_for_its_hmac(tmp_path)


def test_training_ends_with_78_before_its_work_if_the_key_is_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.setenv("MODEL_HMAC_KEY_FILE", str(tmp_path / "none"))
    done = train(tmp_path, FASTEST)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == f"train: MODEL_HMAC_KEY_FILE={tmp_path}/none: {EXPECTED}[] bytes\n"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose model make has trained with a key, under the local engine."""
    clone = make_clone(tmp_path_factory.mktemp("signed"))
    keys = clone / "keys"
    keys.write_text(f"{OLD}\n")
    for targets in (["build-train", "train"], ["build-predict"]):
        output_of(make(clone, FASTEST, *targets, ENGINE="local", MODEL_HMAC_KEY_FILE=keys))
    return clone


def predict_once(clone: Path, keys: Path | str) -> Completed:
    """Run make predict-once with a file of keys, or none."""
    variables = {"ENGINE": "local", "PAYLOAD": '{"instances": []}', "MODEL_HMAC_KEY_FILE": keys}
    return make(clone, FASTEST, "predict-once", **variables)


def test_make_train_signs(signed: Path) -> None:
    path = model_file(signed, FASTEST)
    assert path.read_bytes().endswith(HMAC_MAGIC)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_make_predict_once_verifies(signed: Path) -> None:
    assert '"predictions": []' in output_of(predict_once(signed, signed / "keys"))
    assert '"predictions": []' in output_of(predict_once(signed, ""))

    other = signed / "others"
    other.write_text(f"{OTHER}\n")
    done = predict_once(signed, other)
    assert done.returncode != 0
    assert "Signature matches no key in MODEL_HMAC_KEY_FILE" in done.stderr


def predict(clone: Path, keys: Path) -> Completed:
    """Run make predict with a file of keys."""
    return make(clone, FASTEST, "predict", ENGINE="local", MODEL_HMAC_KEY_FILE=keys)


def test_make_predict_ends_with_78_without_a_key_file(signed: Path) -> None:
    done = predict(signed, signed / "none")
    assert "Error 78" in done.stderr
    assert "/none: expected the full path of a file" in done.stderr


def test_make_predict_ends_with_78_for_a_short_key(signed: Path) -> None:
    (signed / "short").write_text("short\n")
    done = predict(signed, signed / "short")
    assert "Error 78" in done.stderr
    assert "found keys of [5] bytes" in done.stderr
