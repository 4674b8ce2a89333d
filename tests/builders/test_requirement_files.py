"""builders/requirement_files.py: reads requirements files as pip does.

The reference is pip's own parser, from the wheel that Python's ensurepip has.
"""

import codecs
import ensurepip
import json
import os
import sys
from pathlib import Path

import pytest
from install_packages import arguments
from requirement_files import RequirementError, read
from support.commands import ROOT, Completed, output_of, run

# Prints each requirement and constraint that pip finds in files, by the name of the file's folder.
PIP = """
import json, pathlib, sys
from pip._internal.network.session import PipSession
from pip._internal.req.req_file import parse_requirements
found = {}
for file in map(pathlib.Path, sys.argv[1:]):
    lines = parse_requirements(str(file), PipSession())
    found[file.parent.name] = [[line.requirement, line.constraint] for line in lines]
print(json.dumps(found))
"""
WHEELS = list((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
needs_pip = pytest.mark.skipif(not WHEELS, reason="ensurepip has no wheel of pip here")
NESTED = {
    "base.txt": b"six==1.17.0\n-c limits.txt\n",
    "limits.txt": b"click<9\n",
    "sub/deep.txt": b"-r more.txt\n-c ../limits.txt\n",
    "sub/more.txt": b"attrs\n",
}
ACCEPTED = {
    "plain": b"six==1.17.0\nclick>=8,<9\n",
    "comments": b"# one\nsix # two\nclick#egg\n\n   \n",
    "crlf": b"six==1.17.0\r\nclick\r\n",
    "cr": b"six\rclick\r",
    "no end of line": b"six",
    "continuation": b"click \\\n>=8\n",
    "crlf continuation": b"click \\\r\n>=8\r\n",
    "comment in a continuation": b"click \\\n# why\n>=8\n",
    "continuation at the end": b"six \\\n",
    "utf-8 mark": codecs.BOM_UTF8 + b"six\n",
    "utf-16": "six # \u00fc\r\n".encode("utf-16"),
    "utf-16-be": codecs.BOM_UTF16_BE + "six\n".encode("utf-16-be"),
    "latin-1": b"# -*- coding: latin-1 -*-\n# d\xe9pendances\nsix\n",
    "cp1252 in the second line": b"#\n# vim: set fileencoding=cp1252 :\nsix # \x93\n",
    "markers": b'six ; python_version < "3" and extra == "a"\nclick[x,y] >=8;python_version>"3"\n',
    "nested": b"-r base.txt\nattrs\n",
    "nested, long": b"--requirement=base.txt\n--constraint limits.txt\n",
    "nested, joined": b"-rbase.txt\n-climits.txt\n",
    "nested, abbreviated": b"--requirem base.txt\n--constr=limits.txt\n",
    "nested, quoted": b"-r 'base.txt'\n",
    "nested, from a folder": b"-r sub/deep.txt\n",
    "nested twice": b"-r base.txt\n-r sub/deep.txt\n",
    "options": b"--pre\n-i http://a/simple\n--extra-index-url=http://b\nsix\n--trusted-host a\n",
    "options of wheels": b"--only-binary :all:\n--no-binary six,click\n--prefer-binary\nsix\n",
    "hashes": b"six==1 --hash=sha256:00 \\\n    --hash=sha256:01\n",
    "a url": b"six @ https://a.example/six.whl\nhttps://a.example/b.whl\ngit+https://a.example/c\n",
    "other line ends": "six\x0cclick\u2028attrs\n".encode(),
}


def write(folder: Path, content: bytes) -> Path:
    """Write a requirements file, and the files to which it may refer."""
    for name, text in {**NESTED, "requirements.txt": content}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text)
    return folder / "requirements.txt"


def read_lines(file: Path) -> list[list[object]]:
    """Return our own reader's requirements without hashes, as PIP prints them."""
    found = []
    for read_file in read([file]):
        for line in read_file.lines:
            if not line.text.startswith("--"):
                found.append([line.text.partition(" --hash=")[0], read_file.is_constraint])
    return found


@pytest.fixture(scope="module")
def found_by_pip(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[object]]]:
    """The requirements that pip finds in the file of each case."""
    folder = tmp_path_factory.mktemp("pip")
    files = [write(folder / case, content) for case, content in ACCEPTED.items()]
    program = (sys.executable, "-W", "ignore", "-c", PIP, *files)
    return dict(json.loads(output_of(run(*program, env={"PYTHONPATH": str(WHEELS[0])}))))


@needs_pip
@pytest.mark.parametrize("case", ACCEPTED)
def test_reader_finds_the_requirements_that_pip_finds(
    tmp_path: Path, found_by_pip: dict[str, list[list[object]]], case: str
) -> None:
    found = found_by_pip[case]
    assert found != []
    # pip reads a file again that two others include.
    unique = [line for number, line in enumerate(found) if line not in found[:number]]
    lines = read_lines(write(tmp_path, ACCEPTED[case]))
    assert sorted(map(repr, lines)) == sorted(map(repr, unique))


def test_reader_accepts_utf_32_which_pip_takes_for_utf_16(tmp_path: Path) -> None:
    assert read_lines(write(tmp_path, "six\n".encode("utf-32"))) == [["six", False]]


NOT_UTF8 = "is not utf-8 text. Save the file as UTF-8, or name its encoding:"
REFUSED = {
    "latin-1 without its name": (b"six\n# d\xe9pendances\n", f"2: {NOT_UTF8}"),
    "utf-16 without a mark": ("six\n".encode("utf-16-le"), "1: has a NUL character."),
    "an unknown encoding": (b"# coding: klingon\nsix\n", ": 'klingon' is not a known encoding."),
    "a wrong encoding": (b"# coding: ascii\n# \xe9\n", "2: is not ascii text."),
    "a missing file": (b"six\n-r nothing.txt\n", "2: nothing.txt: no such file or folder."),
    "a missing constraint": (b"-c nothing.txt\n", "1: nothing.txt: no such file or folder."),
    "a folder": (b"-r sub\n", "sub: cannot be read (Is a directory)."),
    "a file that includes itself": (b"-r ./requirements.txt\n", "refers to itself."),
    "a file of the web": (b"-r https://a.example/r.txt\n", "1: https://a.example/r.txt can change"),
    "an editable folder": (b"six\n\n-e ./sub\n", "3: --editable: An editable package needs a"),
    "an editable repository": (b"-e git+https://a.example/c#egg=c\n", "1: --editable:"),
    "a missing package": (b"./nothing\n", "1: ./nothing: no such file or folder."),
    "a missing wheel": (b"six\nwheels/a-1-py3-none-any.whl\n", "2: wheels/a-1-py3-none"),
    "a freeze of conda": (b"six @ file:///croot/six_1644875935023/work\n", "1: /croot/six_1644"),
    "missing wheels": (b"--find-links wheels\nsix\n", "1: wheels: no such file or folder."),
    "an unknown option": (b"--user\nsix\n", "1: no such option: --user."),
    "an option without its value": (b"six\n-r\n", "2: -r option requires 1 argument."),
    "an option of pip's build": (b"six --global-option=--x\n", "1: --global-option:"),
    "settings of a build": (b"six --config-settings=a=b\n", "1: --config-settings:"),
    "an option behind a package": (b"six --pre\n", "1: --pre needs a line of its own."),
    "an unset variable": (b"a @ https://${NO_SUCH_TOKEN}@h/a.whl\n", "1: the variable NO_SUCH"),
    "an unclosed quote": (b"-r 'base.txt\n", "1: No closing quotation"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_reader_names_file_and_line_of_what_cannot_work(tmp_path: Path, case: str) -> None:
    content, message = REFUSED[case]
    file = write(tmp_path, content)
    with pytest.raises(RequirementError) as raised:
        read([file])
    place = str(file) if message.startswith(":") else f"{file}, line "
    expected = f"{place}{message}" if message[0] in ":123456789" else message
    assert expected in str(raised.value)


def test_a_file_of_a_nested_file_is_named_with_its_line(tmp_path: Path) -> None:
    file = write(tmp_path, b"-r sub/deep.txt\n")
    (tmp_path / "sub/more.txt").write_text("attrs\n-r none.txt\n")
    with pytest.raises(RequirementError, match=r"sub/more\.txt, line 2: none\.txt: no such file"):
        read([file])


def test_a_variable_that_is_set_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_OF_A_TEST", "secret")
    file = write(tmp_path, b"a @ https://${TOKEN_OF_A_TEST}@h/a.whl\nsix # $HOME ${lower}\n")
    assert [line[0] for line in read_lines(file)] == ["a @ https://secret@h/a.whl", "six"]


LOCAL = {
    "./my pkg": "PATH",
    "./my pkg[extra]": "PATH[extra]",
    './my pkg ; python_version > "3"': 'PATH ; python_version > "3"',
    "name @ ./my pkg": "name @ PATH",
    "name[x] @ file:my%20pkg": "name[x] @ PATH",
    "name @ file://FOLDER/my%20pkg": "name @ PATH",
    "file:my%20pkg#subdirectory=x": "PATH#subdirectory=x",
    "FOLDER/my pkg": "PATH",
    "--find-links 'my pkg'": "--find-links PATH",
    "-f my\\ pkg": "--find-links PATH",
}


@pytest.mark.parametrize("text", LOCAL)
def test_a_local_path_is_found_from_the_file_and_from_the_folder_of_the_first_file(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "my pkg").mkdir()
    for outer in (b"", b"-r sub/inner.txt\n"):
        file = write(tmp_path, outer)
        inner = tmp_path / "sub/inner.txt" if outer else file
        inner.write_text(text.replace("FOLDER", str(tmp_path)) + "\n")
        (line,) = read([file])[-1].lines
        assert (line.path, line.render(lambda _: "PATH")) == (tmp_path / "my pkg", LOCAL[text])


# The key of an environment


def test_trusted_hosts_of_all_files_reach_uv(tmp_path: Path) -> None:
    files = [tmp_path / "one.txt", tmp_path / "two.txt"]
    files[0].write_text("--trusted-host a\n--trusted-host b\n")
    files[1].write_text("--trusted-host c\n--pre\n")
    words = arguments(read(files), {})
    hosts = [words[i + 1] for i, word in enumerate(words) if word == "--allow-insecure-host"]
    assert hosts == ["a", "b", "c"]
    assert words.count("--prerelease") == 1


def command(*arguments: object) -> Completed:
    """Run requirement_commands.py."""
    return run(sys.executable, ROOT / "builders/requirement_commands.py", *arguments)


def test_key_changes_with_every_file_that_decides_the_packages(tmp_path: Path) -> None:
    file = write(tmp_path, b"-r sub/deep.txt\n./package\n-f wheels\n")
    others = [tmp_path / "package/pyproject.toml", tmp_path / "wheels/a-1-py3-none-any.whl"]
    for path in others:
        path.parent.mkdir()
        path.touch()
    names = ["sub/deep.txt", "sub/more.txt", "limits.txt", "requirements.txt"]
    keys = [output_of(command("key", os.devnull, file))]
    for path in (*others, *(tmp_path / name for name in names)):
        with path.open("a") as text:
            text.write("changed\n")
        keys.append(output_of(command("key", os.devnull, file)))
    assert len(set(keys)) == 7
    # The old key is that of the file's own text.
    old = run(sys.executable, ROOT / "builders/commands.py", "digest", file).stdout
    (tmp_path / "sub/more.txt").write_text("six\n")
    assert run(sys.executable, ROOT / "builders/commands.py", "digest", file).stdout == old


def test_wrong_use_prints_the_usage() -> None:
    done = command("remove", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: requirement_commands.py key CONSTRAINTS FILE..." in done.stderr
