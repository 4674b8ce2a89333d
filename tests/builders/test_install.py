"""What the builds call: install.sh (environments), settings.py (index, proxies, CA), port.py, model_table.py."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import ROOT, free_port, run, wheel

from utils.encode_decode import pickle_model

INSTALL = ROOT / "builders/install.sh"


class Bench:
    """A folder with requirement files, wheels and a cache of its own that holds nothing but uv; no index is asked."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.wheels = folder / "wheels"
        self.scratch = folder / "scratch"
        self.venv = folder / "my venv's"
        for made in (self.scratch, folder / "cache"):
            made.mkdir(parents=True)
        for uv in (ROOT / ".local/cache").glob("uv-*"):
            (folder / "cache" / uv.name).symlink_to(uv.resolve())
        self.digests = {name: wheel(self.wheels, name) for name in ("alpha", "beta")}
        wheel(self.wheels, "alpha", "2.0")
        self.write("one.txt", "alpha==1.0\n")

    def write(self, name: str, text: str) -> Path:
        (self.folder / name).write_text(text)
        return self.folder / name

    def variables(self, more: Mapping[str, str]) -> dict[str, str]:
        own = {
            "CACHE": str(self.folder / "cache"),
            "TMPDIR": str(self.scratch),
            "UV_FIND_LINKS": str(self.wheels),
        }
        return {**own, "UV_OFFLINE": "1", "CONSTRAINTS": "", "ENVIRONMENTS": "", **more}

    def install(
        self, *files: str, venv: Path | None = None, **more: str
    ) -> subprocess.CompletedProcess[str]:
        paths = [self.folder / file for file in files]
        return run(INSTALL, venv or self.venv, *paths, env=self.variables(more), cwd=self.folder)

    def versions(self, venv: Path | None = None) -> str:
        """What the environment's own Python finds: the versions of alpha and beta, `-` for none."""
        program = "import importlib.util as u\nfor n in 'alpha', 'beta':\n s = u.find_spec(n)\n"
        program += " print(__import__(n).VERSION if s else '-', end=' ')"
        return run((venv or self.venv) / "bin/python", "-c", program).stdout.strip()

    def leftovers(self) -> list[str]:
        """Unfinished environments and temporary files."""
        unfinished = [
            path.name for path in self.folder.rglob("*") if re.fullmatch(r".*\.\d+", path.name)
        ]
        return [
            *(name for name in unfinished if not name.startswith(("uv-", "python"))),
            *map(str, self.scratch.iterdir()),
        ]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / 'a "b" c')


def test_an_environment_holds_what_the_files_ask_for(bench: Bench) -> None:
    bench.write("two.txt", "beta==1.0\n")
    done = bench.install("one.txt", "two.txt")
    assert (
        done.returncode,
        done.stdout.count("---> Installing what 2 requirements files ask for\n"),
        done.stderr,
    ) == (
        0,
        1,
        "",
    )
    assert (bench.versions(), bench.leftovers()) == ("1.0 1.0", [])


def test_an_unchanged_environment_is_left_as_it_is(bench: Bench) -> None:
    bench.install("one.txt")
    (bench.venv / "mark").touch()
    done = bench.install("one.txt", UV_OFFLINE="1", UV_FIND_LINKS="/nonexistent")
    assert (done.returncode, done.stdout, (bench.venv / "mark").exists()) == (0, "", True)


def test_a_changed_requirement_makes_it_anew(bench: Bench) -> None:
    bench.install("one.txt")
    (bench.venv / "mark").touch()
    bench.write("one.txt", "alpha==2.0\n")
    assert bench.install("one.txt").returncode == 0
    assert (bench.versions(), (bench.venv / "mark").exists()) == ("2.0 -", False)


def test_changed_constraints_make_it_anew(bench: Bench) -> None:
    bench.write("one.txt", "alpha\n")
    for pin in ("1.0", "2.0"):
        bench.write("pins.txt", f"alpha=={pin}\n")
        assert bench.install("one.txt", CONSTRAINTS=str(bench.folder / "pins.txt")).returncode == 0
        assert bench.versions() == f"{pin} -"


def test_one_without_its_last_mark_is_made_anew(bench: Bench) -> None:
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
    assert "alpha==1.0" in done.stderr and "alpha==2.0" in done.stderr


def test_a_killed_installation_is_never_taken(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        index = f"http://127.0.0.1:{mute.getsockname()[1]}/simple"
        more = {
            "UV_OFFLINE": "0",
            "UV_FIND_LINKS": "",
            "UV_DEFAULT_INDEX": index,
            "ENVIRONMENTS": str(bench.folder / "e"),
        }
        command = [INSTALL, bench.venv, bench.folder / "one.txt"]
        env = {**os.environ, **bench.variables(more)}
        hung = subprocess.Popen(command, env=env, start_new_session=True, stdout=subprocess.DEVNULL)
        mute.settimeout(30)
        mute.accept()[0].close()  # it has begun to install
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


def test_calls_at_once_make_one_sound_environment(bench: Bench) -> None:
    shared = bench.folder / "environments"
    shared.mkdir()
    places = [bench.folder / f"place{number}" for number in range(6)]
    env = {**os.environ, **bench.variables({"ENVIRONMENTS": str(shared)})}
    quiet = subprocess.DEVNULL
    calls = [
        subprocess.Popen([INSTALL, place, bench.folder / "one.txt"], env=env, stdout=quiet)
        for place in places
    ]
    assert [call.wait(60) for call in calls] == [0] * len(places)
    assert ([bench.versions(place) for place in places], bench.leftovers()) == (
        ["1.0 -"] * len(places),
        [],
    )
    (made,) = shared.iterdir()
    assert not [path for path in made.iterdir() if path.name.startswith(made.name)]


def pinned(bench: Bench, digest: str) -> str:
    return str(bench.write("pins.txt", f"alpha==1.0 \\\n    --hash=sha256:{digest}\n"))


def test_the_hashes_of_the_constraints_are_checked(bench: Bench) -> None:
    assert (
        bench.install("one.txt", CONSTRAINTS=pinned(bench, bench.digests["alpha"])).returncode == 0
    )
    flipped = bench.digests["alpha"].translate(
        str.maketrans("0123456789abcdef", "1032547698badcfe")
    )
    done = bench.install("one.txt", CONSTRAINTS=pinned(bench, flipped), venv=bench.folder / "other")
    assert (done.returncode, (bench.folder / "other").exists()) == (1, False)
    assert "alpha" in done.stderr and "hash" in done.stderr.lower() and flipped in done.stderr


def test_a_package_that_the_constraints_lack_is_installed_and_named(bench: Bench) -> None:
    bench.write("two.txt", "beta==1.0\n")
    done = bench.install("one.txt", "two.txt", CONSTRAINTS=pinned(bench, bench.digests["alpha"]))
    assert (done.returncode, bench.versions()) == (0, "1.0 1.0")
    assert "---> beta is not in constraints.txt: installed without a hash\n" in done.stdout
    assert "alpha" not in done.stdout


def test_without_an_environment_it_prints_its_use() -> None:
    done = run(INSTALL)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr.startswith("Summary: makes a virtual environment")
        and "Usage:   install.sh VENV" in done.stderr
    )


# settings.py


def settings(
    home: Path, *arguments: str | Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs settings.py with `home` as home and nothing of this machine's own settings but /etc/pip.conf."""
    paths = {"HOME": str(home), "PATH": os.environ["PATH"]}
    command = [
        "env",
        "-i",
        *(f"{key}={value}" for key, value in {**paths, **variables}.items()),
        sys.executable,
    ]
    return run(*command, ROOT / "engines/pip_settings.py", *arguments)


def read_by_a_shell(text: str, name: str) -> str:
    return run("bash", "-c", f'eval "$1"; printf %s "${name}"', "bash", text).stdout


def configure(home: Path, text: str, file: str = ".config/pip/pip.conf") -> Path:
    (home / file).parent.mkdir(parents=True, exist_ok=True)
    (home / file).write_text(text)
    return home / file


def test_the_index_of_pip_serves_uv_too(tmp_path: Path) -> None:
    text = settings(tmp_path, PIP_INDEX_URL="https://index.example/simple").stdout
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"):
        assert read_by_a_shell(text, name) == "https://index.example/simple"


def test_a_variable_wins_over_the_configuration_file(tmp_path: Path) -> None:
    configure(
        tmp_path,
        "[global]\nindex-url = https://file.example/%(x)s\nextra-index-url =\n  https://a.example\n  https://b\n",
    )
    text = settings(tmp_path).stdout
    assert read_by_a_shell(text, "PIP_INDEX_URL") == "https://file.example/%(x)s"
    assert read_by_a_shell(text, "UV_INDEX") == "https://a.example https://b"
    text = settings(tmp_path, PIP_INDEX_URL="https://variable.example").stdout
    assert read_by_a_shell(text, "UV_DEFAULT_INDEX") == "https://variable.example"


def test_the_file_of_pip_config_file_wins_over_the_users(tmp_path: Path) -> None:
    configure(tmp_path, "[global]\nindex-url = https://home.example\n")
    own = configure(tmp_path, "[install]\nindex-url = https://own.example\n", "own.conf")
    text = settings(tmp_path, PIP_CONFIG_FILE=str(own)).stdout
    assert read_by_a_shell(text, "PIP_INDEX_URL") == "https://own.example"


@pytest.mark.parametrize(
    "value", ["a b", "it's", '"q"', "$(touch x)", "`touch x`", "a\nb", "\\", ";exit 3", "*", "ü"]
)
def test_odd_values_reach_the_shell_unchanged(tmp_path: Path, value: str) -> None:
    done = settings(tmp_path, HTTPS_PROXY=value)
    assert done.returncode == 0
    assert read_by_a_shell(done.stdout, "HTTPS_PROXY") == value


def test_the_authority_is_copied_beside_the_settings(tmp_path: Path) -> None:
    authority = configure(tmp_path, "certificate\n", "company's ca.pem")
    made = tmp_path / "mounted"
    made.mkdir()
    done = settings(
        tmp_path,
        made,
        SSL_CERT_FILE=str(authority),
        PIP_INDEX_URL="https://user:pass@index.example",
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert (made / "ca.crt").read_text() == "certificate\n"
    text = (made / "env").read_text()
    assert (
        read_by_a_shell(text, "SSL_CERT_FILE")
        == read_by_a_shell(text, "PIP_CERT")
        == "/run/s2i-settings/ca.crt"
    )
    assert read_by_a_shell(text, "PIP_INDEX_URL") == "https://user:pass@index.example"


def test_an_authority_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = settings(tmp_path, tmp_path, SSL_CERT_FILE="/nonexistent/ca.pem")
    assert (done.returncode, "Traceback" in done.stderr, "/nonexistent/ca.pem" in done.stderr) == (
        78,
        False,
        True,
    )


@pytest.mark.parametrize("text", ["index-url = https://u:s3cret@h\n", "[global]\nindex s3cret\n"])
def test_a_broken_configuration_file_is_named_without_its_secrets(
    tmp_path: Path, text: str
) -> None:
    file = configure(tmp_path, text)
    done = settings(tmp_path)
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (78, "", False)
    assert str(file) in done.stderr and "s3cret" not in done.stderr


# port.py


def port(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, ROOT / "engines/port.py", *arguments)


def test_a_free_port_is_free() -> None:
    done = port(str(free_port()))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_is_told_with_the_way_out(host: str) -> None:
    with socket.create_server((host, 0)) as taken:
        number = taken.getsockname()[1]
        done = port(str(number))
    assert done.returncode == 69
    assert (
        done.stderr
        == f"PORT={number}: Address already in use; end the other program or choose another PORT\n"
    )


@pytest.mark.parametrize(
    "text", ["", "x", "0", "65536", "-1", "1.0", " 80", "²", "٣", "1" * 50, "$(id)", "80\n"]
)
def test_what_is_no_port_is_named(text: str) -> None:
    done = port(text)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"PORT={text}: expected a whole number from 1 to 65535\n"


def test_without_a_port_it_prints_its_use() -> None:
    done = port()
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "Usage: port.py PORT" in done.stderr


# model_table.py


def table(*files: str | Path) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-S", ROOT / "engines/model_table.py", *files)


def model(directory: Path, name: str, accuracy: float) -> Path:
    metrics = {"accuracy": accuracy, "auc": 0.5, "log_loss": 1 / 3}
    contents = {
        "model": b"x" * 2000,
        "scaler": {},
        "modelName": name,
        "schema": {},
        "golden": {},
        "metrics": metrics,
    }
    return pickle_model(contents, directory)


def test_the_table_shows_each_models_figures(tmp_path: Path) -> None:
    done = table(model(tmp_path, "house_lr", 0.8661), model(tmp_path, "house_rf", 1))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "     model               accuracy       auc  log_loss        KB\n"
        "     house_lr              0.8661    0.5000    0.3333         2\n"
        "     house_rf              1.0000    0.5000    0.3333         2\n"
    )


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    spoiled = model(tmp_path, "house_lr", 0.9)
    spoiled.write_bytes(spoiled.read_bytes().replace(b"xxx", b"xyx"))
    done = table(spoiled)
    assert (done.returncode, "Traceback" in done.stderr) == (78, False)
    assert done.stderr.startswith(f"model_table: {spoiled}: ")


@pytest.mark.parametrize("name", ["missing.pkl", "*.pkl"])
def test_a_model_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    done = table(tmp_path / name)
    assert (done.returncode, "Traceback" in done.stderr) == (78, False)
    assert done.stderr.startswith("model_table: ") and name.removesuffix(".pkl") in done.stderr
