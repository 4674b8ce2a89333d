"""builders/install.sh: the environments into which builds install packages."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.clones import build_wheel
from support.commands import ROOT, Completed, clean_environment, run

INSTALL = ROOT / "builders/install.sh"


class Bench:
    """A folder with requirement files, wheels, and a cache that contains only uv.

    No index is used.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.wheels = folder / "wheels"
        self.scratch = folder / "scratch"
        self.venv = folder / "my venv's"
        for directory in (self.scratch, folder / "cache"):
            directory.mkdir(parents=True)
        for uv in (ROOT / ".local/cache").glob("uv-*"):
            (folder / "cache" / uv.name).symlink_to(uv.resolve())
        self.digests = {name: build_wheel(self.wheels, name) for name in ("alpha", "beta")}
        build_wheel(self.wheels, "alpha", "2.0")
        self.write("one.txt", "alpha==1.0\n")

    def write(self, name: str, text: str) -> Path:
        """Write a file into the folder and return its path."""
        (self.folder / name).write_text(text)
        return self.folder / name

    def variables(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that install.sh gets."""
        return {
            "CACHE": str(self.folder / "cache"),
            "TMPDIR": str(self.scratch),
            "UV_FIND_LINKS": str(self.wheels),
            "UV_OFFLINE": "1",
            "CONSTRAINTS": "",
            "ENVIRONMENTS": "",
            **more,
        }

    def install(self, *files: str, venv: Path | None = None, **more: str) -> Completed:
        """Run install.sh for files of the folder."""
        paths = [self.folder / file for file in files]
        return run(INSTALL, venv or self.venv, *paths, env=self.variables(more), cwd=self.folder)

    def versions(self, venv: Path | None = None) -> str:
        """Return the installed versions of alpha and beta, `-` for a missing package."""
        found = []
        for name in ("alpha", "beta"):
            program = f"import {name}; print({name}.VERSION)"
            imported = run((venv or self.venv) / "bin/python", "-c", program)
            found.append(imported.stdout.strip() or "-")
        return " ".join(found)

    def leftovers(self) -> list[str]:
        """Return the unfinished environments and the temporary files."""
        found = [path.name for path in self.scratch.iterdir()]
        for path in self.folder.rglob("*"):
            is_unfinished = re.fullmatch(r".*\.\d+", path.name)
            # python3.13 is not an unfinished environment.
            if is_unfinished and not path.name.startswith(("uv-", "python")):
                found.append(path.name)
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / 'a "b" c')


def test_an_environment_holds_what_the_files_ask_for(bench: Bench) -> None:
    bench.write("two.txt", "beta==1.0\n")
    done = bench.install("one.txt", "two.txt")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("---> Installing the packages of 2 requirements files\n") == 1
    assert (bench.versions(), bench.leftovers()) == ("1.0 1.0", [])


def test_an_unchanged_environment_is_left_as_it_is(bench: Bench) -> None:
    bench.install("one.txt")
    (bench.venv / "mark").touch()
    done = bench.install("one.txt", UV_OFFLINE="1", UV_FIND_LINKS="/nonexistent")
    assert (done.returncode, done.stdout, (bench.venv / "mark").exists()) == (0, "", True)


def test_a_changed_requirement_replaces_it(bench: Bench) -> None:
    bench.install("one.txt")
    (bench.venv / "mark").touch()
    bench.write("one.txt", "alpha==2.0\n")
    assert bench.install("one.txt").returncode == 0
    assert (bench.versions(), (bench.venv / "mark").exists()) == ("2.0 -", False)


def test_changed_constraints_replace_it(bench: Bench) -> None:
    bench.write("one.txt", "alpha\n")
    for pin in ("1.0", "2.0"):
        bench.write("pins.txt", f"alpha=={pin}\n")
        assert bench.install("one.txt", CONSTRAINTS=str(bench.folder / "pins.txt")).returncode == 0
        assert bench.versions() == f"{pin} -"


def test_one_without_its_last_mark_is_replaced(bench: Bench) -> None:
    bench.install("one.txt")
    (bench.venv / ".holds").unlink()
    next(bench.venv.rglob("alpha.py")).unlink()
    assert bench.install("one.txt").returncode == 0
    assert bench.versions() == "1.0 -"


def test_a_failed_installation_leaves_the_old_environment(bench: Bench) -> None:
    bench.install("one.txt")
    bench.write("one.txt", "alpha==9.9\n")
    done = bench.install("one.txt")
    assert (done.returncode, "alpha==9.9" in done.stderr) == (1, True)
    assert (bench.versions(), bench.leftovers()) == ("1.0 -", [])


def test_a_clash_of_two_files_shows_both_sides(bench: Bench) -> None:
    bench.write("two.txt", "alpha==2.0\n")
    done = bench.install("one.txt", "two.txt")
    assert (done.returncode, bench.venv.exists(), bench.leftovers()) == (1, False, [])
    assert "alpha==1.0" in done.stderr
    assert "alpha==2.0" in done.stderr


def test_a_killed_installation_is_never_used(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        index = f"http://127.0.0.1:{mute.getsockname()[1]}/simple"
        variables = bench.variables(
            {
                "UV_OFFLINE": "0",
                "UV_FIND_LINKS": "",
                "UV_DEFAULT_INDEX": index,
                "ENVIRONMENTS": str(bench.folder / "e"),
            }
        )
        hung = subprocess.Popen(
            [INSTALL, bench.venv, bench.folder / "one.txt"],
            env=clean_environment(**variables),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
        )
        # It connects when it has started to install.
        mute.settimeout(30)
        mute.accept()[0].close()
        os.killpg(hung.pid, signal.SIGKILL)
        hung.wait()
    (bench.folder / "e").mkdir(exist_ok=True)
    assert bench.install("one.txt", ENVIRONMENTS=str(bench.folder / "e")).returncode == 0
    assert bench.versions() == "1.0 -"


def test_equal_requirements_share_one_environment(bench: Bench) -> None:
    shared = bench.folder / "environments"
    shared.mkdir()
    places = [bench.folder / "first", bench.folder / "second"]
    for place in places:
        assert bench.install("one.txt", venv=place, ENVIRONMENTS=str(shared)).returncode == 0
    assert [place.resolve() for place in places] == [next(shared.iterdir()).resolve()] * 2
    bench.write("one.txt", "alpha==2.0\n")
    bench.install("one.txt", venv=places[1], ENVIRONMENTS=str(shared))
    assert [bench.versions(place) for place in places] == ["1.0 -", "2.0 -"]


def test_calls_at_once_make_one_valid_environment(bench: Bench) -> None:
    shared = bench.folder / "environments"
    shared.mkdir()
    places = [bench.folder / f"place{number}" for number in range(6)]
    env = clean_environment(**bench.variables({"ENVIRONMENTS": str(shared)}))
    quiet = subprocess.DEVNULL
    calls = [
        subprocess.Popen([INSTALL, place, bench.folder / "one.txt"], env=env, stdout=quiet)
        for place in places
    ]
    assert [call.wait(60) for call in calls] == [0] * len(places)
    assert [bench.versions(place) for place in places] == ["1.0 -"] * len(places)
    assert bench.leftovers() == []

    # No other environment was moved into the first one.
    (environment,) = shared.iterdir()
    assert not [path for path in environment.iterdir() if path.name.startswith(environment.name)]


def pinned(bench: Bench, digest: str) -> str:
    """Write constraints with a digest of alpha's wheel and return their path."""
    return str(bench.write("pins.txt", f"alpha==1.0 \\\n    --hash=sha256:{digest}\n"))


def test_the_hashes_of_the_constraints_are_checked(bench: Bench) -> None:
    right = bench.digests["alpha"]
    assert bench.install("one.txt", CONSTRAINTS=pinned(bench, right)).returncode == 0

    flipped = right.translate(str.maketrans("0123456789abcdef", "1032547698badcfe"))
    done = bench.install("one.txt", CONSTRAINTS=pinned(bench, flipped), venv=bench.folder / "other")
    assert (done.returncode, (bench.folder / "other").exists()) == (1, False)
    assert "alpha" in done.stderr
    assert "hash" in done.stderr.lower()
    assert flipped in done.stderr


def test_a_package_that_the_constraints_lack_is_installed_and_named(bench: Bench) -> None:
    bench.write("two.txt", "beta==1.0\n")
    done = bench.install("one.txt", "two.txt", CONSTRAINTS=pinned(bench, bench.digests["alpha"]))
    assert (done.returncode, bench.versions()) == (0, "1.0 1.0")
    assert "---> beta is not in constraints.txt: installed without a hash\n" in done.stdout
    assert "alpha" not in done.stdout


def test_without_an_environment_it_prints_its_usage() -> None:
    done = run(INSTALL)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Summary: makes a virtual environment")
    assert "Usage:   install.sh VENV" in done.stderr
