"""builders/install.sh: the environments into which builds install packages."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
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


def bytecode(bench: Bench) -> list[str]:
    """Return the names of the environment's modules that have bytecode."""
    folders = bench.venv.resolve().glob("lib/python*/site-packages/__pycache__")
    files = [file for folder in folders for file in folder.iterdir()]
    return sorted({file.name.partition(".")[0] for file in files} & {"alpha", "beta"})


@pytest.mark.parametrize("turned_off", ["", "1"])
def test_an_environment_has_bytecode_from_the_beginning(bench: Bench, turned_off: str) -> None:
    bench.write("two.txt", "beta==1.0\n")
    done = bench.install("one.txt", "two.txt", PYTHONDONTWRITEBYTECODE=turned_off)
    assert (done.returncode, bytecode(bench)) == (0, ["alpha", "beta"])


def test_an_image_gets_only_the_bytecode_of_imports(bench: Bench) -> None:
    assert bench.install("one.txt", IN_IMAGE="1").returncode == 0
    assert bytecode(bench) == []
    # The environment has no bytecode if the first import does not write it.
    run(bench.venv / "bin/python", "-c", "import alpha", env={"PYTHONDONTWRITEBYTECODE": "1"})
    assert bytecode(bench) == []
    run(bench.venv / "bin/python", "-c", "import alpha", env={"PYTHONDONTWRITEBYTECODE": ""})
    assert bytecode(bench) == ["alpha"]


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


def test_a_clash_with_the_constraints_names_them_and_the_ways_out(bench: Bench) -> None:
    bench.write("one.txt", "alpha==2.0\n")
    constraints = pinned(bench, bench.digests["alpha"])
    done = bench.install("one.txt", CONSTRAINTS=constraints)
    assert done.returncode == 1
    assert done.stderr.endswith(
        f"install: {constraints} has alpha==1.0, and the versions above conflict with it. Change "
        f"the version in {bench.folder / 'one.txt'}, run make constraints, or remove alpha from "
        f"{constraints}.\n"
    )


def test_a_package_that_the_constraints_lack_is_installed_and_named(bench: Bench) -> None:
    bench.write("two.txt", "beta==1.0\n")
    done = bench.install("one.txt", "two.txt", CONSTRAINTS=pinned(bench, bench.digests["alpha"]))
    assert (done.returncode, bench.versions()) == (0, "1.0 1.0")
    assert "---> beta is not in constraints.txt: installed without a hash\n" in done.stdout
    assert "alpha" not in done.stdout


# Requirements files as pip reads them


def test_a_changed_file_of_a_requirements_file_replaces_the_environment(bench: Bench) -> None:
    bench.write("outer.txt", "-r one.txt\n")
    assert bench.install("outer.txt").returncode == 0
    assert bench.versions() == "1.0 -"
    bench.write("one.txt", "alpha==2.0\n")
    assert bench.install("outer.txt").returncode == 0
    assert bench.versions() == "2.0 -"


def test_a_file_of_powershell_is_installed_and_uv_alone_installs_nothing(bench: Bench) -> None:
    file = bench.write("one.txt", "")
    file.write_bytes("beta==1.0 # \u00fc\r\nalpha \\\r\n==2.0\r\n".encode("utf-16"))
    assert bench.install("one.txt").returncode == 0
    assert bench.versions() == "2.0 1.0"

    uv = next((bench.folder / "cache").glob("uv-*/bin/uv"))
    env = bench.variables({})
    control = run(uv, "pip", "install", "--python", bench.venv, "--dry-run", "-r", file, env=env)
    assert "Would install" not in control.stderr


def test_a_file_that_cannot_work_ends_the_installation_with_its_name(bench: Bench) -> None:
    bench.write("one.txt", "alpha==1.0\n-e ./beta\n")
    done = bench.install("one.txt")
    assert (done.returncode, bench.venv.exists(), bench.leftovers()) == (78, False, [])
    assert done.stderr.startswith(f"requirements: {bench.folder}/one.txt, line 2: --editable: ")


def test_an_error_of_uv_names_the_users_file_and_line(bench: Bench) -> None:
    bench.write("one.txt", "\ufeff-r two.txt\n")
    two = bench.write("two.txt", "# a comment\nalpha==1.0\nbeta=1\n")
    done = bench.install("one.txt")
    assert done.returncode == 1
    assert f"Couldn't parse requirement in `{two}`, line 3\n" in done.stderr


def hashed(bench: Bench, digest: str) -> Path:
    """Write a file with --require-hashes and return its path."""
    return bench.write("one.txt", f"--require-hashes\nalpha==1.0 --hash=sha256:{digest}\n")


def test_a_file_that_requires_hashes_is_installed_next_to_one_without(bench: Bench) -> None:
    file = hashed(bench, bench.digests["alpha"])
    other = bench.write("two.txt", "alpha>=1\nbeta>=1\n")
    assert bench.install("two.txt", "one.txt").returncode == 0
    assert bench.versions() == "1.0 1.0"

    uv = next((bench.folder / "cache").glob("uv-*/bin/uv"))
    words = ("--reinstall", "--python", bench.venv, "-r", file, "-r", other)
    control = run(uv, "pip", "install", *words, env=bench.variables({}))
    assert control.returncode != 0
    # uv breaks long lines.
    message = " ".join(control.stderr.split())
    assert "all requirements must have their versions pinned with `==`" in message


@pytest.mark.parametrize(
    ("digest", "line", "message"),
    [
        ("0" * 64, "beta==1.0", "Hash mismatch for `alpha==1.0`"),
        ("", "alpha==2.0", "your requirements are unsatisfiable"),
    ],
)
def test_a_hashed_package_is_never_replaced(
    bench: Bench, digest: str, line: str, message: str
) -> None:
    hashed(bench, digest or bench.digests["alpha"])
    bench.write("two.txt", f"{line}\n")
    done = bench.install("two.txt", "one.txt")
    assert (done.returncode, bench.venv.exists()) == (1, False)
    assert message in " ".join(done.stderr.split())


def test_a_file_that_requires_hashes_needs_one_for_each_package(bench: Bench) -> None:
    bench.write("one.txt", "--require-hashes\nalpha==1.0\n")
    done = bench.install("one.txt")
    assert (done.returncode, bench.venv.exists()) == (1, False)
    assert "all requirements must have a hash" in done.stderr


BACKEND = """
import zipfile


def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "gamma-1.0-py3-none-any.whl"
    # As setuptools does.
    open("built", "w").close()
    with zipfile.ZipFile(f"{directory}/{name}", "w") as archive:
        archive.write("gamma.py")
        archive.writestr("gamma-1.0.dist-info/METADATA", "Name: gamma\\nVersion: 1.0\\n")
        archive.writestr("gamma-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        archive.writestr("gamma-1.0.dist-info/RECORD", "")
    return name
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "gamma"
version = "1.0"
"""


def test_a_local_folder_is_installed_again_after_a_change(bench: Bench) -> None:
    package = bench.folder / "my gamma"
    package.mkdir()
    for name, text in {"backend.py": BACKEND, "pyproject.toml": PROJECT}.items():
        (package / name).write_text(text)
    wheel = "alpha @ ./wheels/alpha-2.0-py3-none-any.whl"
    bench.write("one.txt", f"--find-links wheels\n./my gamma\n{wheel}\n")
    for value in ("1", "2"):
        (package / "gamma.py").write_text(f"VALUE = {value}\n")
        assert bench.install("one.txt", UV_FIND_LINKS="").returncode == 0
        program = "import alpha, gamma; print(alpha.VERSION, gamma.VALUE)"
        assert run(bench.venv / "bin/python", "-c", program).stdout == f"2.0 {value}\n"
    # The application's own folder may be read-only.
    assert not (package / "built").exists()


# Variables of pip


def other_places(bench: Bench) -> dict[str, str]:
    """Return variables with which pip installs packages into another folder, or none."""
    options = ("TARGET", "PREFIX", "ROOT", "PYTHON")
    folders = {f"PIP_{option}": str(bench.folder.parent / option) for option in options}
    return {**folders, "PIP_USER": "1", "PIP_DRY_RUN": "1", "PIP_REQUIRE_VIRTUALENV": "1"}


def test_variables_for_another_place_change_nothing(bench: Bench) -> None:
    assert bench.install("one.txt", **other_places(bench), UV_SYSTEM_PYTHON="1").returncode == 0
    assert bench.versions() == "1.0 -"


def test_uv_itself_is_fetched_in_spite_of_variables_for_another_place(bench: Bench) -> None:
    # pip installs the pin of this file, here that of another package.
    builders = bench.folder / "builders"
    shutil.copytree(ROOT / "builders", builders)
    digest = bench.digests["alpha"]
    pin = builders / "runtime/requirements_install.txt"
    pin.write_text(f"alpha==1.0 --hash=sha256:{digest}\n")
    # A space in PIP_FIND_LINKS separates two places.
    links = bench.folder.parent / "links"
    links.symlink_to(bench.wheels)
    env = {**other_places(bench), "PIP_FIND_LINKS": str(links), "PIP_NO_INDEX": "1"}
    fetched = bench.folder / "fetched"
    done = run(builders / "fetch_uv.sh", fetched, env={**env, "PYTHON": sys.executable})
    control = builders / "fetch_uv.sh"
    assert (fetched / "lib").exists(), done.stderr
    assert list(fetched.rglob("alpha.py")) != []

    control.write_text(control.read_text().replace("unset PIP_TARGET", "unset PIP_OTHER"))
    run(control, bench.folder / "other", env={**env, "PYTHON": sys.executable})
    assert list((bench.folder / "other").rglob("alpha.py")) == []


def test_variables_of_pip_have_their_meaning_for_uv(bench: Bench) -> None:
    links = bench.folder.parent / "links"
    links.symlink_to(bench.wheels)
    build_wheel(bench.wheels, "alpha", "3.0rc1")
    bench.write("one.txt", "alpha\n")
    env = {"UV_FIND_LINKS": "", "UV_OFFLINE": "0", "PIP_NO_INDEX": "1"}
    for pre, expected in (("0", "2.0"), ("1", "3.0rc1")):
        done = bench.install("one.txt", PIP_FIND_LINKS=f"/nonexistent {links}", PIP_PRE=pre, **env)
        assert (done.returncode, bench.versions()) == (0, f"{expected} -")

    done = bench.install("one.txt", PIP_FIND_LINKS=str(links), PIP_NO_BINARY="alpha", **env)
    assert (done.returncode, bench.versions()) == (1, "3.0rc1 -")


def test_without_an_environment_it_prints_its_usage() -> None:
    done = run(INSTALL)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Summary: makes a virtual environment")
    assert "Usage:   install.sh VENV" in done.stderr
