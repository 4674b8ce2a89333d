"""builders/check_source.py: names and files that cannot work are refused."""

import sys
from pathlib import Path

import pytest
from support.commands import ROOT, Completed, run


def check(source: Path, role: str = "predict", in_image: str = "0") -> Completed:
    """Run check_source.py on a folder."""
    program = ROOT / "builders/check_source.py"
    return run(sys.executable, program, source, role, env={"IN_IMAGE": in_image})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An application that can work."""
    source = tmp_path / "my source"
    (source / "app").mkdir(parents=True)
    (source / "app/__init__.py").touch()
    assert check(source).returncode == 0
    return source


def write(source: Path, name: str, content: bytes = b"") -> None:
    """Write a file of the application."""
    (source / name).parent.mkdir(parents=True, exist_ok=True)
    (source / name).write_bytes(content)


@pytest.mark.parametrize("name", ["random.py", "json/__init__.py", "sys.py", "queue.py", "site.py"])
def test_module_that_hides_one_of_the_standard_library_is_refused(source: Path, name: str) -> None:
    write(source, name)
    module = name.partition("/")[0].removesuffix(".py")
    problem = f"hides the module {module!r} of Python's standard library"
    advice = "Rename your module, or move it into a package."
    done = check(source)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == f"assemble: {source}/{name}: {problem}. {advice}\n"


@pytest.mark.parametrize("name", ["json/notes.txt", "app/random.py", "random.txt", "tests/a.py"])
def test_module_that_hides_nothing_is_accepted(source: Path, name: str) -> None:
    write(source, name)
    assert (check(source).returncode, check(source).stderr) == (0, "")


def test_hidden_standard_module_would_break_the_server(source: Path) -> None:
    write(source, "random.py")
    program = (sys.executable, "-m", "runtime.serve")
    done = run(*program, cwd=source, env={"PYTHONPATH": str(ROOT / "builders")})
    assert "Traceback" in done.stderr


LINKS = ["../outside.py", "/nonexistent/outside.py", "missing.py", "ABSOLUTE"]


@pytest.mark.parametrize("target", LINKS)
def test_link_that_the_copy_cannot_follow_is_refused(source: Path, target: str) -> None:
    (source.parent / "outside.py").touch()
    target = target.replace("ABSOLUTE", str(source / "app/__init__.py"))
    (source / "helper.py").symlink_to(target)
    problem = f"is a link to {target}, which is not a file of the application"
    done = check(source)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == (
        f"assemble: {source}/helper.py: {problem}. Replace the link by a copy of the file.\n"
    )


def test_link_within_the_application_and_those_of_tools_are_accepted(source: Path) -> None:
    (source / "helper.py").symlink_to("app/__init__.py")
    (source / "folder").symlink_to("app")
    (source / ".#app.py").symlink_to("author@machine.1234")
    write(source, "venv/pyvenv.cfg")
    (source / "venv/bin").mkdir()
    (source / "venv/bin/python").symlink_to(sys.executable)
    assert (check(source).returncode, check(source).stderr) == (0, "")


@pytest.mark.parametrize("name", ["setup.sh", "app/setup.sh"])
def test_setup_sh_for_windows_is_refused(source: Path, name: str) -> None:
    write(source, name, b"#!/bin/bash\nset -e\r\nfalse\r\necho end\n")
    done = check(source)
    assert (done.returncode, done.stdout) == (78, "")
    assert f"{name}, line 2: ends with CR LF, which bash cannot read." in done.stderr

    # The control: bash reaches the end of the file.
    assert run("bash", source / name).stdout == "end\n"


@pytest.mark.parametrize(
    ("role", "name", "refused"),
    [
        ("train", "data", True),
        ("train", "models", True),
        ("predict", "models", True),
        ("predict", "data", False),
    ],
)
def test_folder_that_another_one_would_hide_is_refused_outside_of_an_image(
    source: Path, role: str, name: str, refused: bool
) -> None:
    write(source, f"{name}/vocabulary.txt")
    done = check(source, role)
    assert done.returncode == (78 if refused else 0)
    expected = f"{name}: the folder {name}/ of the repository replaces it. Rename your folder.\n"
    assert (expected in done.stderr) == refused

    # Without make, nothing has to be mounted there.
    done = check(source, role, in_image="1")
    notice = f"---> {name}/ is part of the application. A mounted folder hides it.\n"
    assert (done.returncode, done.stdout) == (0, notice if refused else "")


def test_all_problems_are_reported(source: Path) -> None:
    write(source, "random.py")
    write(source, "setup.sh", b"false\r\n")
    write(source, "requirements.txt", b"-r nothing.txt\n")
    lines = check(source).stderr.splitlines()
    places = ("random.py: ", "setup.sh, line 1: ", "requirements.txt, line 1: ")
    assert [place in line for place, line in zip(places, lines, strict=True)] == [True] * 3


def test_requirements_outside_of_the_application_are_refused(source: Path) -> None:
    write(source, "requirements.txt", b"six\n-c ../limits.txt\n")
    (source.parent / "limits.txt").touch()
    done = check(source)
    assert done.returncode == 78
    assert "requirements.txt, line 2: " in done.stderr
    assert "limits.txt is not a file of the application. Copy it" in done.stderr
    # An image may have such a file.
    assert check(source, in_image="1").returncode == 0
