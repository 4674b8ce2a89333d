"""builders/commands.py: the small commands that shell scripts need from Python."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import ROOT, Completed, output_of, run


def command(*arguments: object) -> Completed:
    """Run one command of commands.py."""
    return run(sys.executable, ROOT / "builders/commands.py", *arguments)


def test_digest_differs_with_each_files_contents_and_their_order(tmp_path: Path) -> None:
    one = tmp_path / "one"
    other = tmp_path / "other"
    one.write_text("a\n")
    other.write_text("b\n")
    digests = [
        output_of(command("digest", *files)) for files in ([one], [one, other], [other, one])
    ]
    assert len(set(digests)) == 3
    assert all(len(digest) == len("0123456789abcdef\n") for digest in digests)


def test_digest_is_of_contents_not_of_names(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).write_text("a\n")
    assert output_of(command("digest", tmp_path / "one")) == output_of(
        command("digest", tmp_path / "other")
    )


def test_tree_differs_with_names_modes_links_and_contents(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    file = folder / "sub/file"
    file.write_text("a")
    (folder / "link").symlink_to("sub")

    digests = [output_of(command("tree", folder))]
    edits: list[Callable[[], object]] = [
        lambda: file.write_bytes(b"\xff"),
        lambda: file.chmod(0o755),
        lambda: file.rename(folder / "file"),
        lambda: (folder / "link").unlink(),
        lambda: (folder / "link").symlink_to("other"),
        lambda: (folder / "sub").rmdir(),
    ]
    for edit in edits:
        edit()
        digests.append(output_of(command("tree", folder)))
    assert len(set(digests)) == len(edits) + 1


def test_tree_is_the_same_for_a_copy_without_bytecode(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("a")
    (tmp_path / "one/__pycache__").mkdir()
    (tmp_path / "one/__pycache__/file.pyc").touch()
    one = output_of(command("tree", tmp_path / "one"))
    assert output_of(command("tree", tmp_path / "other")) == one


def test_tree_depends_on_the_folder_that_has_a_file(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "one/file").touch()
    folders = [tmp_path / "one", tmp_path / "other"]
    assert output_of(command("tree", *folders)) != output_of(command("tree", *folders[::-1]))


def test_rename_moves_a_directory(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/file").touch()
    assert command("rename", tmp_path / "source", tmp_path / "target").returncode == 0
    assert [path.name for path in tmp_path.rglob("*")] == ["target", "file"]


def test_rename_leaves_a_directory_with_contents_as_it_is(tmp_path: Path) -> None:
    for name in ("source", "target"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    done = command("rename", tmp_path / "source", tmp_path / "target")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert (tmp_path / "source/source").exists()
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["target"]


def test_mv_would_have_moved_it_into_the_other(tmp_path: Path) -> None:
    for name in ("source", "target"):
        (tmp_path / name).mkdir()
    assert run("mv", tmp_path / "source", tmp_path / "target").returncode == 0
    assert (tmp_path / "target/source").exists()


@pytest.mark.parametrize("code", [0, 3])
def test_limit_returns_the_commands_output_and_exit_code(code: int) -> None:
    done = command("limit", 10, "sh", "-c", f"echo output; echo error >&2; exit {code}")
    assert (done.returncode, done.stdout, done.stderr) == (code, "output\n", "")


def test_limit_fails_once_the_time_is_over() -> None:
    started = time.monotonic()
    assert command("limit", 0.2, "sleep", 20).returncode == 1
    assert time.monotonic() - started < 10


def test_limit_fails_without_such_a_program() -> None:
    done = command("limit", 10, "no-such-program")
    assert (done.returncode, done.stderr) == (1, "")


def test_object_prints_texts_as_json() -> None:
    text = 'it\'s "q" \\ $(x)\n\tü'
    done = command("object", "$ref", text, "model_name", "")
    assert json.loads(output_of(done)) == {"$ref": text, "model_name": ""}


@pytest.mark.parametrize("arguments", [[], ["remove", "x"], ["--help"]])
def test_wrong_use_prints_the_usage(arguments: list[str]) -> None:
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: commands.py digest FILE..." in done.stderr
