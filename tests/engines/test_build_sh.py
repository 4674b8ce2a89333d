"""build.sh: arguments, rejections, staging; a failed build leaves nothing."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from support.clones import add_model, build_wheel, with_other_hash
from support.commands import ROOT, Completed, clean_environment, run, wait_until, without_programs
from support.models import MODEL_DIRS, setting

MODEL = MODEL_DIRS[0]
IMAGE = "house-predict"


def build(clone: Path, *arguments: str, **variables: str) -> Completed:
    """Run build.sh with its own temporary folder, which must be empty afterwards."""
    scratch = clone.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    env = {"ENGINE": "local", "TMPDIR": str(scratch), **variables}
    done = run("./build.sh", *arguments, cwd=clone, env=env)
    assert list(scratch.iterdir()) == []
    return done


def image(clone: Path, name: str = IMAGE) -> Path:
    return clone / ".local/images" / name


def contents(directory: Path) -> dict[str, bytes | str]:
    """Return the bytes of each file and the target of each link below a directory."""
    return {
        str(path.relative_to(directory)): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


# Arguments

USAGE = (ROOT / "build.sh").read_text().split("set -euo")[0].splitlines()[1:]


@pytest.mark.parametrize("arguments", [[], ["x"], ["x", MODEL], ["x", MODEL, "train", "y"]])
def test_a_wrong_number_of_arguments_prints_the_opening_comment(arguments: list[str]) -> None:
    done = run("./build.sh", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [line.removeprefix("#").removeprefix(" ") for line in USAGE]


NAME_RULE = (
    "expected lower-case letters and digits, with single . _ - between them. Set CONTAINER_NAME."
)
BAD_NAMES = [
    "",
    "A",
    "a b",
    "-a",
    "a-",
    "a..b",
    "a:b",
    "../a",
    "/a",
    "a/",
    "a;touch x",
    "$(touch x)",
    "ü",
    "a\nb",
    "a" * 129,
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_image_name_is_named(name: str) -> None:
    done = run("./build.sh", name, MODEL, "train")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"build.sh: image name '{name}': {NAME_RULE}\n"


@pytest.mark.parametrize(
    "directory", ["", ".", "..", "a b", "../x", "/tmp", "-x", "1x", "x;y", "$(x)", "a-b", "x\ny"]
)
def test_a_bad_model_directory_is_named(directory: str) -> None:
    done = run("./build.sh", "house", directory, "train")
    rule = "expected a directory here, named with letters, digits and _"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"build.sh: model directory '{directory}': {rule}\n"


@pytest.mark.parametrize("directory", ["nowhere", "data", "utils"])
def test_a_directory_without_an_environment_file_is_named(directory: str) -> None:
    done = run("./build.sh", "house", directory, "train")
    expected = (
        f"build.sh: {directory}/.s2i/environment: no such file. Is {directory} a model directory?\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


@pytest.mark.parametrize("role", ["", "Train", "serve", "train predict", "$(x)"])
def test_a_role_that_is_none_is_named(role: str) -> None:
    done = run("./build.sh", "house", MODEL, role)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"build.sh: expected train or predict, found '{role}'\n"


def test_scripts_that_would_replace_the_builders_are_refused(clone: Path) -> None:
    (add_model(clone) / ".s2i/bin").mkdir()
    done = build(clone, IMAGE, "house", "predict")
    expected = "build.sh: house/.s2i/bin: would replace the builder's own scripts. Remove it.\n"
    assert (done.returncode, done.stdout, done.stderr) == (78, "", expected)


def test_a_bad_environment_file_is_refused_before_anything_is_built(clone: Path) -> None:
    add_model(clone, **{".s2i/environment": "ROUTES\n"})
    done = build(clone, IMAGE, "house", "predict")
    problem = "expected KEY=value, found 'ROUTES'. s2i would drop this line."
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == f"environment: house/.s2i/environment, line 1: {problem}\n"
    assert not (clone / ".local/images").exists()


def test_a_role_that_the_environment_file_does_not_serve_is_refused(clone: Path) -> None:
    add_model(clone)
    done = build(clone, IMAGE, "house", "train")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith(
        "environment: house/.s2i/environment: TRAIN_MODULE and TRAIN_FUNCTION are not set"
    )


# Engines


NO_DOCKER = "docker is not on the PATH (https://docs.docker.com/engine/install/)"
NO_ENGINE = "no Docker engine answers (start it, join its group, or set DOCKER_HOST)"
NO_S2I = "s2i is not on the PATH (if Go is installed, make tools builds it)"
MISSING = {
    "no docker": ({}, NO_DOCKER),
    "no engine": ({"docker": "echo 'Cannot connect' >&2; exit 1", "s2i": ""}, NO_ENGINE),
    "an engine that hangs": ({"docker": "sleep 60", "s2i": ""}, NO_ENGINE),
    "no s2i": ({"docker": ""}, NO_S2I),
}


@pytest.mark.parametrize("case", MISSING)
def test_a_forced_engine_that_is_not_there_fails_in_seconds(clone: Path, case: str) -> None:
    programs, problem = MISSING[case]
    path = without_programs(clone.parent / "bin", programs)
    env = {"PATH": path, "ENGINE": "docker"}
    done = run("./build.sh", IMAGE, MODEL, "predict", cwd=clone, env=env, seconds=15)
    advice = "ENGINE=local needs neither Docker nor s2i."
    expected = f"build.sh: ENGINE=docker, but {problem}. {advice}\n"
    assert (done.returncode, done.stdout, done.stderr) == (69, "", expected)
    assert not (clone / ".local/images").exists()


def test_a_docker_host_where_nothing_answers_is_no_engine(clone: Path) -> None:
    if not shutil.which("docker"):
        pytest.skip("there is no docker client here")
    env = {"DOCKER_HOST": "tcp://127.0.0.1:9", "ENGINE": "docker"}
    done = run("./build.sh", IMAGE, MODEL, "predict", cwd=clone, env=env, seconds=15)
    assert (done.returncode, done.stderr) == (
        69,
        f"build.sh: ENGINE=docker, but {NO_ENGINE}. ENGINE=local needs neither Docker nor s2i.\n",
    )


@pytest.mark.parametrize("case", ["no docker", "no engine", "no s2i"])
@pytest.mark.parametrize("engine", ["", "auto"])
def test_the_default_is_the_local_engine_if_docker_is_not_available(
    clone: Path, case: str, engine: str
) -> None:
    programs, problem = MISSING[case]
    add_model(clone)
    done = build(
        clone,
        IMAGE,
        "house",
        "predict",
        PATH=without_programs(clone.parent / "bin", programs),
        ENGINE=engine,
    )
    assert done.returncode == 0
    reason = problem.partition(" (")[0]
    assert done.stdout.splitlines()[0] == f"---> Engine: local ({reason})"


def test_an_engine_that_is_none_is_named(clone: Path) -> None:
    done = build(clone, IMAGE, MODEL, "predict", ENGINE="podman")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "build.sh: ENGINE=podman: expected docker, local or auto\n"


def test_a_build_writes_bytecode_even_if_the_shell_turns_it_off(clone: Path) -> None:
    add_model(clone)
    folder = clone / "builders/runtime/__pycache__"
    turned_off = {"PYTHONDONTWRITEBYTECODE": "1"}
    environment = {**turned_off, "PYTHONPATH": "builders"}
    run("python3", "-c", "import runtime.loader", cwd=clone, env=environment)
    assert not folder.exists()

    assert build(clone, IMAGE, "house", "predict", **turned_off).returncode == 0
    assert list(folder.glob("loader.*.pyc")) != []


# Unchanged images

UNCHANGED = f"---> Nothing has changed since the last build of {IMAGE}\n"


def is_kept(clone: Path, **variables: str) -> bool:
    """Build the image and return whether the old one was kept."""
    before = image(clone).stat().st_ino
    done = build(clone, IMAGE, "house", "predict", **variables)
    assert done.returncode == 0, done.stderr
    kept = image(clone).stat().st_ino == before
    assert (UNCHANGED in done.stdout) == kept
    return kept


def test_an_image_is_kept_if_nothing_has_changed(clone: Path) -> None:
    add_model(clone)
    first = build(clone, IMAGE, "house", "predict")
    assert (first.returncode, UNCHANGED in first.stdout) == (0, False)
    assert is_kept(clone)
    # setup.sh may install something else today.
    assert not is_kept(clone, SETUP="1")


@pytest.mark.parametrize(
    "file", ["house/predict.py", "utils/model.py", "builders/runtime/app.py", "engines/common.sh"]
)
def test_an_image_is_built_after_an_edit(clone: Path, file: str) -> None:
    add_model(clone)
    assert build(clone, IMAGE, "house", "predict").returncode == 0
    with (clone / file).open("a") as text:
        text.write("# an edit\n")
    assert not is_kept(clone)
    assert is_kept(clone)


def test_an_image_is_built_if_it_has_lost_its_environment(clone: Path) -> None:
    add_model(clone)
    assert build(clone, IMAGE, "house", "predict").returncode == 0
    (image(clone) / ".venv").unlink()
    assert not is_kept(clone)


def test_an_image_is_built_in_a_copy_of_the_repository(clone: Path) -> None:
    add_model(clone)
    assert build(clone, IMAGE, "house", "predict").returncode == 0
    copied = clone.parent / "copied"
    shutil.copytree(clone, copied, symlinks=True)
    # The links of the copied image lead to the first repository.
    assert os.readlink(image(copied) / "models") == str(clone / "models")
    assert not is_kept(copied)
    assert os.readlink(image(copied) / "models") == str(copied / "models")


def test_the_image_of_a_failed_build_is_not_kept_as_unchanged(clone: Path) -> None:
    directory = add_model(clone)
    text = (directory / "predict.py").read_text()
    assert build(clone, IMAGE, "house", "predict").returncode == 0
    (directory / "predict.py").write_text("def nobody(): ...\n")
    for _ in range(2):
        assert build(clone, IMAGE, "house", "predict").returncode != 0
    (directory / "predict.py").write_text(text)
    assert is_kept(clone)


# What goes into an image


def test_an_image_holds_the_package_and_what_all_models_share(clone: Path) -> None:
    directory = add_model(
        clone, **dict.fromkeys(("Makefile", "README.md", "helper.py", "requirements.txt"), "")
    )
    for folder in ("test", "__pycache__", "extra"):
        (directory / folder).mkdir()
        (directory / folder / "file").touch()
    (directory / "extra/test").mkdir()
    for name in ("test/file", "README.md"):
        (directory / "extra" / name).touch()
    assert build(clone, IMAGE, "house", "predict").returncode == 0
    found = {name for name in contents(image(clone)) if "__pycache__" not in name}
    shared = {
        str(path.relative_to(ROOT))
        for name in ("utils", "common_utils")
        for path in (ROOT / name).rglob("*.py")
    }
    own = {
        f"finance_income_prediction/{name}"
        for name in (
            *("__init__.py", "predict.py", "helper.py", "requirements.txt", "extra/file"),
            # Only the model directory's own test/ and README.md are left out.
            *("extra/test/file", "extra/README.md"),
        )
    }
    rest = {".s2i/environment", "requirements.txt", "constraints.txt"}
    engine = {".digest", ".venv", "data", "models"}
    assert found == shared | own | rest | engine


def test_the_images_environment_is_the_models_with_the_commit(clone: Path) -> None:
    add_model(clone)
    assert build(clone, IMAGE, "house", "predict").returncode == 0
    routes, digest, commit = (image(clone) / ".s2i/environment").read_text().split()
    assert routes == "ROUTES=house:finance_income_prediction.predict:predict"
    assert re.fullmatch("SOURCE_DIGEST=[0-9a-f]{64}", digest)
    assert commit == "GIT_COMMIT=unknown"


def git(clone: Path, *arguments: str) -> str:
    done = run("git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments, cwd=clone)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_commit_is_the_clones_own_and_marks_changes(clone: Path) -> None:
    directory = add_model(clone)
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"], ["tag", "v1"]):
        git(clone, *arguments)
    commit = git(clone, "rev-parse", "HEAD")
    for expected in (commit, f"{commit}-dirty"):
        assert build(clone, IMAGE, "house", "predict").returncode == 0
        assert (
            (image(clone) / ".s2i/environment").read_text().endswith(f"\nGIT_COMMIT={expected}\n")
        )
        (directory / "predict.py").write_text((directory / "predict.py").read_text() + "\n")


def test_an_environment_file_without_a_last_newline_keeps_its_last_value(clone: Path) -> None:
    text = "ROUTES=house:finance_income_prediction.predict:predict"
    add_model(clone, **{".s2i/environment": text})
    assert build(clone, IMAGE, "house", "predict").returncode == 0
    assert (image(clone) / ".s2i/environment").read_text().splitlines()[0] == text


def test_the_combined_image_holds_every_model_below_one_package(clone: Path) -> None:
    assert build(clone, IMAGE, "all", "predict").returncode == 0
    app = image(clone) / "finance_income_prediction"
    assert {
        path.name for path in app.iterdir() if path.is_dir() and path.name != "__pycache__"
    } == set(MODEL_DIRS)
    assert (app / "predict.py").read_text() == (ROOT / "all/predict.py").read_text()
    assert not [
        path for path in app.rglob("*") if path.name in ("Makefile", "test", "generate.py", ".s2i")
    ]


def test_model_dirs_choose_what_is_combined_and_all_stays_as_it_is(clone: Path) -> None:
    before = contents(clone / "all")
    assert build(clone, IMAGE, "all", "predict", MODEL_DIRS=MODEL).returncode == 0
    routes = (image(clone) / ".s2i/environment").read_text()
    assert [setting(name, "MODEL_NAME") in routes for name in MODEL_DIRS] == [True, False, False]
    assert contents(clone / "all") == before


@pytest.mark.parametrize("directories", ["nowhere", "../x", "-k", "$(touch x)", f"{MODEL} ;"])
def test_what_cannot_be_combined_is_named(clone: Path, directories: str) -> None:
    done = build(clone, IMAGE, "all", "predict", MODEL_DIRS=directories)
    assert done.returncode == 78
    assert (
        done.stderr.startswith("generate: MODEL_DIRS: ")
        and "is not a model directory" in done.stderr
    )
    assert not (clone / ".local/images").exists() and not (clone / "x").exists()


def test_the_temporary_folder_may_have_spaces_and_quotes(clone: Path) -> None:
    add_model(clone)
    scratch = clone.parent / 'it\'s "my" $HOME;'
    scratch.mkdir()
    done = build(clone, IMAGE, "house", "predict", TMPDIR=str(scratch))
    assert (done.returncode, done.stderr, list(scratch.iterdir())) == (0, "", [])


def test_build_sh_may_be_called_from_anywhere(clone: Path) -> None:
    add_model(clone)
    done = run(
        clone / "build.sh", IMAGE, "house", "predict", cwd=clone.parent, env={"ENGINE": "local"}
    )
    assert (done.returncode, (image(clone) / "finance_income_prediction").is_dir()) == (0, True)


def test_an_images_name_may_have_a_folder(clone: Path) -> None:
    add_model(clone)
    assert build(clone, "team/house-predict", "house", "predict").returncode == 0
    for name in ("data", "models"):
        assert (image(clone, "team/house-predict") / name).resolve() == (clone / name).resolve()


# Builds that fail

ROUTE = "ROUTES=house:finance_income_prediction.{}:{}\n"
FAILING = {
    "a module that is not there": (
        {".s2i/environment": ROUTE.format("nothing", "predict")},
        78,
        "failed: ModuleNotFoundError(",
    ),
    "a function that is not there": (
        {".s2i/environment": ROUTE.format("predict", "nothing")},
        78,
        "has no function",
    ),
    "a clash with the server's requirements": (
        {"requirements_predict.txt": "flask==0.1\n"},
        1,
        "flask==0.1",
    ),
    "a clash with constraints.txt": (
        {"requirements_predict.txt": "numpy==1.0\n", "requirements.txt": "numpy==1.1\n"},
        1,
        "Change the version in broken/requirements_predict.txt, run make constraints, or remove "
        "numpy from constraints.txt.",
    ),
    "a package that is not available": (
        {"requirements.txt": "no-such-package-here==1\n"},
        1,
        "no-such-package-here",
    ),
    "a setup.sh that fails": (
        {"setup.sh": "exit 3\n"},
        1,
        "assemble: broken/setup.sh failed as user",
    ),
}


@pytest.mark.parametrize("case", FAILING)
def test_a_failed_build_leaves_the_old_image_and_nothing_else(clone: Path, case: str) -> None:
    files, code, message = FAILING[case]
    add_model(clone)
    add_model(clone, "broken", **files)
    assert build(clone, IMAGE, "house", "predict").returncode == 0
    before = contents(clone / ".local/images")
    done = build(clone, IMAGE, "broken", "predict", SETUP="1", UV_OFFLINE="1")
    assert (done.returncode, message in done.stderr, "Built" in done.stdout) == (code, True, False)
    assert contents(clone / ".local/images") == before


def start_waiting_build(clone: Path) -> subprocess.Popen[str]:
    """Start a build whose setup.sh waits, and return once setup.sh runs."""
    add_model(clone, "waiting", **{"setup.sh": 'touch "$WAITS"\nsleep 60\n'})
    waits = clone / "waits"
    env = clean_environment(ENGINE="local", SETUP="1", WAITS=str(waits))
    started = subprocess.Popen(
        ["./build.sh", IMAGE, "waiting", "predict"],
        cwd=clone,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert wait_until(waits.exists, 30)
    return started


def test_ctrl_c_prints_one_line_and_leaves_the_old_image(clone: Path) -> None:
    add_model(clone)
    assert build(clone, IMAGE, "house", "predict").returncode == 0
    before = contents(clone / ".local/images")
    started = start_waiting_build(clone)
    # A terminal sends this signal to all processes of the build.
    os.killpg(started.pid, signal.SIGINT)
    _, errors = started.communicate(timeout=30)
    message = f"build.sh: interrupted. Image {IMAGE} was not changed.\n"
    assert (started.returncode, errors) == (130, message)
    assert contents(clone / ".local/images") == before
    assert list((clone / ".local/building").iterdir()) == []


def test_the_next_build_removes_what_a_killed_build_has_left(clone: Path) -> None:
    started = start_waiting_build(clone)
    os.killpg(started.pid, signal.SIGKILL)
    started.communicate(timeout=30)
    building = clone / ".local/building"
    # The control: the killed build has left its folder.
    (left,) = building.iterdir()
    running = building / str(os.getpid())
    running.mkdir()

    add_model(clone)
    assert build(clone, IMAGE, "house", "predict").returncode == 0
    # The folder of a process that runs stays.
    assert list(building.iterdir()) == [running]
    assert left != running


# Files with an error, and how the message begins to name it.
WRONG_FILES = {
    "invalid Python": ("predict.py", "def f(:\n", "('broken/predict.py', 1,"),
    "invalid Python in a folder": ("deep.py", "def f(:\n", "('broken/deep.py', 1,"),
    "invalid requirement": (
        "requirements_predict.txt",
        "==1\n",
        "broken/requirements_predict.txt:1:1",
    ),
    "setup.sh": ("setup.sh", "no-such-command\n", "broken/setup.sh: line 1: no-such-command"),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_error_names_the_users_file_and_no_copy(clone: Path, case: str) -> None:
    file, text, named = WRONG_FILES[case]
    source = add_model(clone, "broken", **{file: text})
    if file == "deep.py":
        (source / "predict.py").write_text("from .deep import predict\n")
    done = build(clone, IMAGE, "broken", "predict", SETUP="1", UV_OFFLINE="1")
    assert done.returncode != 0
    assert named in done.stderr
    assert ".local/images" not in done.stderr
    assert str(clone.parent) not in done.stderr


def test_error_without_the_filter_would_name_the_copy(clone: Path) -> None:
    source = add_model(clone, **{"predict.py": "def f(:\n"})
    (source / ".s2i/environment").write_text("ROUTES=house:predict:predict\n")
    done = assemble(clone, source, clone.parent / "app")
    assert "importing predict failed: SyntaxError(" in done.stderr
    assert f"{clone.parent.name}/" in done.stderr
    assert "/app/predict.py', 1," in done.stderr


def test_building_in_place_would_have_broken_the_old_image(clone: Path) -> None:
    add_model(clone)
    source = add_model(clone, "broken", **{".s2i/environment": ROUTE.format("nothing", "predict")})
    assert build(clone, IMAGE, "house", "predict").returncode == 0
    before = contents(clone / ".local/images")
    assert assemble(clone, source, image(clone)).returncode == 78
    assert contents(clone / ".local/images") != before


def assemble(clone: Path, source: Path, app: Path, **variables: str) -> Completed:
    """Return a function that runs assemble on an unchanged source, without build.sh."""
    app.mkdir(exist_ok=True)
    env = {
        "ROLE": "predict",
        "S2I_SOURCE": str(source),
        "APP_ROOT": str(app),
        "BUILDERS": str(clone / "builders"),
        "CACHE": str(clone / ".local/cache"),
        "ENVIRONMENTS": str(clone / ".local/environments"),
        "SETTINGS": "/nonexistent",
        **variables,
    }
    return run(clone / "builders/s2i/bin/assemble", env=env)


def test_only_in_an_image_the_environment_is_slimmed(clone: Path) -> None:
    source = add_model(clone, **{".s2i/environment": "ROUTES=house:predict:predict\n"})
    slim = clone / "builders/slim.sh"
    slim.write_text("#!/bin/sh\ntouch slimmed\n")

    # Only root can give files to group 0. slim.sh runs before that step.
    app = clone.parent / "app"
    assemble(clone, source, app, IN_IMAGE="1")
    assert (app / "slimmed").exists()


def test_the_local_engine_builds_no_image_whatever_the_callers_shell_says(clone: Path) -> None:
    add_model(clone)
    slim = clone / "builders/slim.sh"
    slim.write_text("#!/bin/sh\ntouch slimmed\n")

    assert build(clone, IMAGE, "house", "predict", IN_IMAGE="1").returncode == 0
    assert not (image(clone) / "slimmed").exists()


@pytest.mark.parametrize("name", ["runtime.py", "runtime"])
def test_a_module_with_the_builders_own_name_is_refused(clone: Path, name: str) -> None:
    source = add_model(clone, **{".s2i/environment": "ROUTES=house:predict:predict\n"})
    assert assemble(clone, source, clone.parent / "good").returncode == 0
    (source / name).mkdir()
    done = assemble(clone, source, clone.parent / "app")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == (
        "assemble: the source has a module 'runtime', which is a name of the builder. Rename it.\n"
    )


def test_a_failed_step_ends_the_build_with_its_name(clone: Path) -> None:
    source = add_model(clone, **{".s2i/environment": "ROUTES=house:predict:predict\n"})
    app = clone.parent / "app"
    (app / "predict.py").mkdir(parents=True)
    done = assemble(clone, source, app)
    assert (done.returncode, done.stdout) == (1, "---> Copying the application\n")
    last = done.stderr.splitlines()[-1]
    assert last == "assemble: the step 'Copying the application' failed (exit code 1)."

    # The control: `set -e` does not stop after a list of commands.
    script = 'set -e; cp -R "$0/." app && cd /; echo next step'
    assert run("bash", "-c", script, source, cwd=app.parent).stdout == "next step\n"


def own_environments(clone: Path) -> None:
    """Give a test its own environments, separate from those of the checkout."""
    (clone / ".local/environments").unlink()


def test_a_flipped_hash_stops_the_build(clone: Path) -> None:
    own_environments(clone)
    add_model(clone)
    assert build(clone, IMAGE, "house", "predict", UV_OFFLINE="1").returncode == 0
    file = clone / "constraints.txt"
    file.write_text(with_other_hash(file.read_text()))
    done = build(clone, "other", "house", "predict", UV_OFFLINE="1")
    assert (done.returncode, image(clone, "other").exists()) == (1, False)
    assert "flask" in done.stderr and "sha256:00000000" in done.stderr


def test_a_package_that_the_constraints_lack_is_installed_with_a_notice(clone: Path) -> None:
    own_environments(clone)
    build_wheel(clone.parent / "wheels", "alpha")
    text = "import alpha\n\ndef predict(msg):\n    return {'predictions': [alpha.VERSION]}\n"
    add_model(clone, **{"predict.py": text, "requirements_predict.txt": "alpha==1.0\n"})
    more = {"UV_OFFLINE": "1", "UV_FIND_LINKS": str(clone.parent / "wheels")}
    done = build(clone, IMAGE, "house", "predict", **more)
    assert (done.returncode, "warning" in done.stderr) == (0, False)
    assert run(image(clone) / ".venv/bin/python", "-c", "import alpha").returncode == 0
    assert "---> alpha is not in constraints.txt: installed without a hash\n" in done.stdout


def test_trouble_on_import_is_a_warning(clone: Path) -> None:
    add_model(clone, **{"predict.py": "open('models/not_yet.pkl')\n"})
    done = build(clone, IMAGE, "house", "predict")
    assert (done.returncode, "check: warning: route house" in done.stderr) == (0, True)


# Builds at once


def at_once(clone: Path, *names: str, path: str = "") -> None:
    env = clean_environment(ENGINE="local", PATH=f"{path}:{os.environ['PATH']}")
    quiet = subprocess.DEVNULL
    builds = [
        subprocess.Popen(["./build.sh", name, "house", "predict"], cwd=clone, env=env, stdout=quiet)
        for name in names
    ]
    assert [one.wait(120) for one in builds] == [0] * len(names)


def test_two_images_built_at_once_do_not_meet(clone: Path) -> None:
    add_model(clone)
    at_once(clone, "one-predict", "two-predict")
    assert contents(image(clone, "one-predict")) == contents(image(clone, "two-predict"))
    assert sorted(path.name for path in (clone / ".local/images").iterdir()) == [
        "one-predict",
        "two-predict",
    ]


def test_one_image_built_several_times_at_once_is_complete(clone: Path) -> None:
    add_model(clone)
    # If a build removed the old image before it renames the new one, another build could interfere.
    slow = clone.parent / "slow"
    slow.mkdir()
    script = f'#!/bin/sh\n{shutil.which("rm")} "$@"\ncode=$?\nsleep 0.3\nexit $code\n'
    (slow / "rm").write_text(script)
    (slow / "rm").chmod(0o755)
    at_once(clone, "alone-predict")
    at_once(clone, *[IMAGE] * 4, path=str(slow))
    assert contents(image(clone)) == contents(image(clone, "alone-predict"))
    assert sorted(path.name for path in (clone / ".local/images").iterdir()) == [
        "alone-predict",
        IMAGE,
    ]
