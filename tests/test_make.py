"""The Makefiles: help, targets, hostile values, `all`, old versions of make."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.clones import make_clone
from support.commands import ROOT, Completed, clean_environment, make
from support.models import MODEL_DIRS, setting

MODEL = MODEL_DIRS[0]
DIRECTORIES = [".", "all", *MODEL_DIRS]
MAKEFILES = [
    "Makefile",
    "common.mk",
    "model.mk",
    "all.mk",
    "template.mk",
    "all/Makefile",
    *(f"{name}/Makefile" for name in MODEL_DIRS),
]
DOCUMENT = {"build-train", "train", "build-predict", "predict", "test-endpoint"}
RULE = re.compile(r"^([A-Za-z][A-Za-z0-9 _-]*):(?![:=])([^#\n]*)(?:(##-?) (.+))?$", re.MULTILINE)


# Help


def makefiles_of(directory: str) -> list[str]:
    """Return the Makefiles that make reads in a directory."""
    if directory == ".":
        return ["Makefile", "common.mk", "template.mk"]
    return [f"{directory}/Makefile", "common.mk", "all.mk" if directory == "all" else "model.mk"]


def targets_of(directory: str) -> dict[str, tuple[str | None, str | None]]:
    """Return the targets of a directory's Makefiles, with the marks and texts of help."""
    found = {}
    for file in makefiles_of(directory):
        for targets, _, mark, text in RULE.findall((ROOT / file).read_text()):
            found.update(dict.fromkeys(targets.split(), (mark, text)))
    return found


def help_of(directory: str, *target: str) -> dict[str, str]:
    """Return the targets and texts that help prints."""
    done = make(ROOT, directory, *target)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [re.fullmatch(r"  make (\S+) +(.+)", line) for line in done.stdout.splitlines()]
    assert all(lines)
    return {line.group(1): line.group(2) for line in lines if line}


def phony(directory: str) -> set[str]:
    """Return the targets that a directory's Makefiles declare as .PHONY."""
    names: set[str] = set()
    for file in makefiles_of(directory):
        for line in re.findall(r"^\.PHONY:(.*)$", (ROOT / file).read_text(), re.MULTILINE):
            names.update(line.split())
    return names


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_bare_make_prints_help(directory: str) -> None:
    done = make(ROOT, directory)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == make(ROOT, directory, "help").stdout != ""


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_every_target_is_shown_by_help_or_help_all(directory: str) -> None:
    targets = {name: text for name, (_, text) in targets_of(directory).items() if text}
    common = {name: text for name, (mark, text) in targets_of(directory).items() if mark == "##"}
    assert help_of(directory, "help-all") == targets
    assert help_of(directory, "help") == common


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_every_target_is_phony_and_has_help(directory: str) -> None:
    helped = {name for name, (_, text) in targets_of(directory).items() if text}
    assert phony(directory) - {"$(TRAIN)", "names"} == helped
    assert set(targets_of(directory)) - helped <= {"names"}


@pytest.mark.parametrize("directory", MODEL_DIRS)
def test_a_model_shows_the_documents_targets_and_stop_and_logs(directory: str) -> None:
    assert set(help_of(directory)) == DOCUMENT | {"expect", "stop", "logs", "help", "help-all"}


def test_the_combined_image_and_the_project_show_the_documents_targets() -> None:
    for directory in (".", "all"):
        assert {"train-all", "predict-all", "test-all"} <= set(help_of(directory))


def test_a_target_without_help_is_noticed() -> None:
    text = "bare: other\n\t@true\none two: three ## help\nA := b\nB ::= c\nrare: ##- seldom\n"
    found = [(targets, mark, help_text) for targets, _, mark, help_text in RULE.findall(text)]
    assert found == [("bare", "", ""), ("one two", "##", "help"), ("rare", "##-", "seldom")]


@pytest.mark.parametrize("directory", MODEL_DIRS)
def test_a_models_makefile_is_three_names_and_an_include(directory: str) -> None:
    lines = [
        line.split(" ")[0] for line in (ROOT / directory / "Makefile").read_text().splitlines()
    ]
    assert lines == ["MODEL_NAME", "DATASET_NAME", "CONTAINER_NAME", "include"]


# Versions of make

NEWER = re.compile(
    r"^\.ONESHELL|^\.SHELLFLAGS|^\.NOTINTERMEDIATE|\.EXTRA_PREREQS|\.WAIT\b|--output-sync"
    r"|\$[({](?:file|guile|intcmp|let)\b|:::?=|^[\w -]+!=|^\S.*&:"
    r"|^undefine\b|^(?:un)?private\b|^-?load\b",
    re.MULTILINE,
)


@pytest.mark.parametrize("file", MAKEFILES)
def test_make_3_81_knows_every_word(file: str) -> None:
    assert NEWER.findall((ROOT / file).read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        ".ONESHELL:",
        ".SHELLFLAGS = -e",
        "x := $(file <y)",
        "x ::= y",
        "x :::= y",
        "x != y",
        "a b &: c",
        "undefine x",
    ],
)
def test_a_newer_word_is_noticed(text: str) -> None:
    assert NEWER.search(f"a: b\n{text}\n")


# Hostile values

HOSTILE = [
    "$(shell touch canary)",
    "${shell touch canary}",
    "$$(shell touch canary)",
    "$(eval x:;touch canary)",
    "$(error x)",
    "`touch canary`",
    "$(touch canary)",
    "x$(touch canary)y",
    "; touch canary;",
    "&& touch canary",
    "|| touch canary",
    "| touch canary",
    "& touch canary &",
    "> canary",
    "<(touch canary)",
    "x\ntouch canary\n",
    "x\n\ttouch canary",
    "'; touch canary; '",
    '"; touch canary; "',
    "'",
    '"',
    "'\"'",
    "\\",
    "\\'",
    "x' y\" z",
    "a\tb",
    "a b",
    "$",
    "$$",
    "$(",
    "../canary",
    "/etc/passwd",
    "a/../../b",
    "-k",
    "--eval=$(shell touch canary)",
    "-",
    "--",
    "%",
    "*",
    "?",
    "~",
    "#x",
    "a=b",
    ":= x",
    "x:y",
    "x: ; touch canary",
    "x|y",
    "{a,b}",
    "!!",
    "%s%n",
    "ünïcode",
    "²",
    "\u202e",
    "\x01",
    "A" * 10_000,
]
# These targets read a variable in the same way as another target, which is tested.
SOME = HOSTILE[::6]
PROBE = """import json, os, sys
from utils.encode_decode import model_path

def train(msg):
    print(json.dumps(msg.payload))
    print("PORT is", os.environ["PORT"], file=sys.stderr)
    model_path(msg.payload["model_name"])
"""


def add_probe(site: Path, name: str) -> None:
    """Add a model that needs almost no time to train."""
    shutil.copytree(site / MODEL, site / name, ignore=shutil.ignore_patterns("requirements*"))
    (site / name / "train.py").write_text(PROBE)
    for file in ("Makefile", ".s2i/environment"):
        text = (site / name / file).read_text()
        for variable in ("CONTAINER_NAME", "MODEL_NAME"):
            text = text.replace(setting(MODEL, variable), name)
        (site / name / file).write_text(text)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with one more model, `probe`, which is built.

    Its train function prints its message and checks the model's name.
    """
    clone = make_clone(tmp_path_factory.mktemp("site"))
    add_probe(clone, "probe")
    assert make(clone, "probe", "build-train", ENGINE="local").returncode == 0
    return clone


def listing(site: Path) -> set[str]:
    """Return every file of a clone except the shared wheels and environments."""
    return {
        os.path.join(folder, name)
        for folder, folders, files in os.walk(site)
        for name in [*files, *folders]
        if "__pycache__" not in os.path.join(folder, name)
    }


def attack(
    site: Path, directory: str, target: str, variable: str, value: str, origin: str
) -> Completed:
    """Run a target with a hostile value; check that nothing is executed or written."""
    before = listing(site.parent)
    # The Python of the tests starts quickly. The Python of pyenv, which may be first on the PATH,
    # starts slowly.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = {"ENGINE": "local", "PATH": path, "WAIT": "0.2"}
    arguments = []
    if origin == "command line":
        arguments.append(f"{variable}={value}")
    else:
        variables[variable] = value

    done = make(site, directory, target, *arguments, seconds=60, **variables)
    assert listing(site.parent) == before, (variable, value)
    return done


ORIGINS = ["command line", "environment"]


def check_outcomes(problems: Mapping[str, object]) -> None:
    """Fail and list every value with a wrong outcome."""
    report = {value[:30]: problem for value, problem in problems.items()}
    assert not problems, json.dumps(report, indent=1, default=str)


REFUSED = {
    ("ENGINE", "train"): (HOSTILE, "run.sh: ENGINE={}: expected docker, local or auto\n"),
    ("ENGINE", "build-train"): (SOME, "build.sh: ENGINE={}: expected docker, local or auto\n"),
    ("PORT", "predict"): (HOSTILE, "PORT={}: expected a whole number from 1 to 65535\n"),
    ("PORT", "test-endpoint"): (HOSTILE, "PORT={}: expected a whole number from 1 to 65535\n"),
}


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("variable, target", REFUSED)
def test_a_hostile_engine_or_port_is_refused_by_name(
    site: Path, variable: str, target: str, origin: str
) -> None:
    values, expected = REFUSED[variable, target]
    problems = {}
    for value in values:
        done = attack(site, MODEL, target, variable, value, origin)
        message = f"{expected.format(value)}{failed_recipe(done.stderr)}"
        if done.returncode == 0 or not done.stderr.endswith(message):
            problems[value] = done.stderr[-300:]
    check_outcomes(problems)


def failed_recipe(stderr: str) -> str:
    """Return make's own last line, which names the recipe that failed."""
    last = stderr.splitlines()[-1:]
    if last and last[0].startswith("make: *** ["):
        return f"{last[0]}\n"
    return "make has reported no failed recipe"


IMAGE_TARGETS = {
    "build-train": (HOSTILE, "train"),
    "train": (SOME, "train"),
    "predict": (HOSTILE, "predict"),
    "stop": (SOME, "predict"),
    "logs": (SOME, "predict"),
}


@pytest.mark.parametrize("target", IMAGE_TARGETS)
def test_a_hostile_container_name_is_refused_by_name(site: Path, target: str) -> None:
    values, role = IMAGE_TARGETS[target]
    problems = {}
    for value in values:
        done = attack(site, MODEL, target, "CONTAINER_NAME", value, "command line")
        message = f": image name '{value}-{role}': expected lower-case letters and digits"
        if done.returncode == 0 or message not in done.stderr:
            problems[value] = done.stderr[-300:]
    check_outcomes(problems)


def test_a_hostile_model_name_is_refused_by_name(site: Path) -> None:
    problems = {}
    for value in HOSTILE:
        done = attack(site, "probe", "train", "MODEL_NAME", value, "command line")
        messages = (
            f"train: model name {value!r} is not valid: expected",
            f"train: MODEL_NAME={value}: quotes are part",
        )
        # The message of a very long value is truncated.
        is_reported = any(message[:1_000] in done.stderr for message in messages)
        if done.returncode == 0 or not is_reported or len(done.stderr) > 3_000:
            problems[value] = done.stderr[-300:]
    check_outcomes(problems)


def test_a_hostile_data_set_reaches_the_train_function_as_it_is(site: Path) -> None:
    problems = {}
    for value in HOSTILE:
        done = attack(site, "probe", "train", "DATASET_NAME", value, "command line")
        message = {"$ref": value, "model_name": "probe"}
        if json.loads(done.stdout or "{}") != message:
            problems[value] = (done.stdout, done.stderr[-300:])
    check_outcomes(problems)


@pytest.mark.parametrize("target", ["train-all", "build-predict", "generate"])
def test_hostile_model_dirs_are_refused_by_name(site: Path, target: str) -> None:
    problems = {}
    values = HOSTILE if target == "train-all" else SOME
    for value in [*values, f"{MODEL} ;", f"{MODEL} | x"]:
        done = attack(site, "all", target, "MODEL_DIRS", value, "command line")
        if done.returncode == 0 or "MODEL_DIRS" not in done.stderr:
            problems[value] = (done.returncode, done.stderr[-300:])
    check_outcomes(problems)


@pytest.mark.parametrize("target", ["train-all", "build-predict", "generate"])
def test_no_model_at_all_is_refused(site: Path, target: str) -> None:
    done = attack(site, "all", target, "MODEL_DIRS", "", "command line")
    assert (done.returncode, "MODEL_DIR" in done.stderr) == (2, True)


SET_BY_MAKEFILE = {
    "MODEL_NAME": ("probe", "train"),
    "DATASET_NAME": ("probe", "train"),
    "CONTAINER_NAME": (MODEL, "predict"),
    "MODEL_DIRS": ("all", "generate"),
}


@pytest.mark.parametrize("variable", SET_BY_MAKEFILE)
def test_a_makefile_wins_over_the_environment(site: Path, variable: str) -> None:
    directory, target = SET_BY_MAKEFILE[variable]
    plain = make(site, directory, target, ENGINE="local")
    problems = {}
    for value in SOME:
        done = attack(site, directory, target, variable, value, "environment")
        output = (done.returncode, done.stdout, done.stderr)
        if output != (plain.returncode, plain.stdout, plain.stderr):
            problems[value] = (done.stdout, done.stderr[-300:])
    check_outcomes(problems)


@pytest.mark.parametrize(
    "variable", ["ENGINE", "PORT", "CONTAINER_NAME", "MODEL_NAME", "DATASET_NAME", "PAYLOAD"]
)
def test_nothing_is_executed_on_the_way_through_the_project_and_all(
    site: Path, variable: str
) -> None:
    for value in (
        "$(shell touch canary)`touch canary`",
        "'; touch canary; '\"; touch canary; \"\ntouch canary\n",
    ):
        make(site, ".", "train-all", "MODEL_DIRS=probe", f"{variable}={value}", ENGINE="local")
        assert not [path for path in listing(site.parent) if path.endswith("canary")]


VARIABLES = ["MODEL_NAME", "DRAIN_SECONDS", "HOST", "ANYTHING", "lower_case"]


@pytest.mark.parametrize("variable", VARIABLES)
def test_any_variable_of_the_command_line_reaches_a_recipe_as_it_is(
    site: Path, variable: str
) -> None:
    (site / "engines/run.sh").rename(site / "engines/aside.sh")
    printer = site / "engines/run.sh"
    printer.write_text(f'#!/bin/sh\nprintf %s "${variable}"\n')
    printer.chmod(0o755)
    problems = {}
    for value in HOSTILE:
        done = attack(site, MODEL, "logs", variable, value, "command line")
        # make removes blanks at the beginning of a value.
        if done.stdout != value.lstrip():
            problems[value] = (done.stdout[-300:], done.stderr[-300:])
    (site / "engines/aside.sh").rename(printer)
    check_outcomes(problems)


@pytest.mark.parametrize("flag", ["-e", "--environment-overrides"])
@pytest.mark.parametrize("variable, directory", [("MODEL_NAME", MODEL), ("MODEL_DIRS", "all")])
def test_the_environment_is_plain_text_even_when_it_overrides(
    site: Path, flag: str, variable: str, directory: str
) -> None:
    environment = {"ENGINE": "local", variable: "$(shell touch canary)"}
    make(site, directory, flag, "logs", **environment)
    assert not [path for path in listing(site.parent) if path.endswith("canary")]


@pytest.fixture
def unguarded(site: Path) -> Iterator[Path]:
    """A clone whose Makefiles do not treat any variable as plain text."""
    common = site / "common.mk"
    guarded = common.read_text()
    common.write_text(re.sub(r"^\$\(foreach .*$", "", guarded, flags=re.MULTILINE))
    yield site
    common.write_text(guarded)


@pytest.mark.parametrize("variable", VARIABLES)
def test_an_unguarded_variable_would_have_been_executed(unguarded: Path, variable: str) -> None:
    make(unguarded, MODEL, "logs", f"{variable}=$(shell touch canary)", ENGINE="local")
    (unguarded / MODEL / "canary").unlink()


def test_an_unguarded_variable_of_the_environment_would_have_been_executed(
    unguarded: Path,
) -> None:
    value = "$(shell touch canary)"
    make(unguarded, "all", "-e", "logs", ENGINE="local", MODEL_DIRS=value)
    (unguarded / "all/canary").unlink()


# What `all` passes on


def images(site: Path) -> set[str]:
    """Return the names of the images that were built."""
    return {path.name for path in (site / ".local/images").iterdir()}


def test_a_container_name_given_to_all_renames_no_models_image(site: Path) -> None:
    done = make(
        site, "all", "train-all", "CONTAINER_NAME=renamed", "MODEL_DIRS=probe", ENGINE="local"
    )
    assert (done.returncode, "renamed-train" in images(site)) == (0, False)
    make(site, "probe", "build-train", "CONTAINER_NAME=renamed", ENGINE="local")
    assert "renamed-train" in images(site)


def test_all_passes_engine_and_port_on(site: Path) -> None:
    done = make(site, "all", "train-all", "MODEL_DIRS=probe", "PORT=5432", "ENGINE=local")
    assert (done.returncode, "PORT is 5432\n" in done.stderr) == (0, True)
    done = make(site, "all", "train-all", "MODEL_DIRS=probe", "ENGINE=podman")
    assert (done.returncode, "train-all.sh: ENGINE=podman: expected" in done.stderr) == (2, True)


def contents(directory: Path) -> dict[Path, bytes]:
    """Return every file below a directory with its bytes."""
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_models_given_on_the_command_line_leave_all_as_it_is(site: Path) -> None:
    before = contents(site / "all")
    done = make(
        site, "all", "build-predict", f"MODEL_DIRS={MODEL}", "CONTAINER_NAME=few", ENGINE="local"
    )
    assert done.returncode == 0
    routes = (site / ".local/images/few-predict/.s2i/environment").read_text()
    assert "," not in routes and setting(MODEL, "MODEL_NAME") in routes
    assert contents(site / "all") == before


def test_models_train_side_by_side(site: Path) -> None:
    names = ["probe1", "probe2", "probe3"]
    for name in names:
        add_probe(site, name)
    done = make(site, "all", "-j4", "train-all", f"MODEL_DIRS={' '.join(names)}", ENGINE="local")
    assert (done.returncode, done.stderr.count("*** ")) == (0, 0), done.stderr
    assert done.stdout.count('"model_name"') == len(names)
    for name in names:
        assert f"\n[{name}] ---> Building {name}-train from {name}\n" in done.stdout
    assert {f"{name}-train" for name in names} <= images(site)


@pytest.mark.parametrize("jobs", ["-j1", "-j4"])
def test_one_model_that_fails_fails_them_all(site: Path, jobs: str) -> None:
    add_probe(site, f"broken{jobs[2:]}")
    (site / f"broken{jobs[2:]}/train.py").write_text("def train(msg):\n    raise SystemExit(3)\n")
    done = make(
        site, "all", jobs, "train-all", f"MODEL_DIRS=broken{jobs[2:]} probe", ENGINE="local"
    )
    assert done.returncode == 2
    assert "Error 3" in done.stderr


FAILING = "def train(msg):\n    raise ValueError('no such column')\n"
SLOW = "import time\n\ndef train(msg):\n    print('training', flush=True)\n    time.sleep(60)\n"


def add_model(site: Path, name: str, program: str = PROBE) -> None:
    """Add a model with a name of its own and its train.py."""
    add_probe(site, name)
    (site / name / "train.py").write_text(program)
    makefile = site / name / "Makefile"
    makefile.write_text(makefile.read_text().replace(setting(MODEL, "MODEL_NAME"), name))


def table_of(output: str) -> dict[str, str]:
    """Return the last table of models in an output: text by name."""
    lines = output.rpartition("---> Models\n")[2].splitlines()
    assert lines[0].split() == ["model", "accuracy", "auc", "log_loss", "KB"]
    rows = [line.split(maxsplit=1) for line in lines[1:]]
    return {row[0]: row[1] for row in rows}


def test_train_all_continues_after_a_failure_and_ends_with_a_table(site: Path) -> None:
    add_model(site, "first", FAILING)
    add_model(site, "second")
    models = "MODEL_DIRS=first second"
    done = make(site, "all", "train-all", models, ENGINE="local")
    assert done.returncode == 2
    assert '"model_name": "second"' in done.stdout
    table = table_of(done.stdout)
    assert table["first"] == "failed: ValueError: no such column"
    assert table["second"].startswith("trained, without metrics: models/second.pkl: no such file.")

    # Without --keep-going, make stops at the first failure.
    done = make(site, "all", models, "train-first", "train-second", ENGINE="local")
    assert (done.returncode, '"model_name": "second"' in done.stdout) == (2, False)


def test_dry_run_of_train_all_prints_no_table(site: Path) -> None:
    add_model(site, "planned")
    done = make(site, "all", "-n", "train-all", "MODEL_DIRS=planned", ENGINE="local")
    assert done.returncode == 0
    assert "run.sh train" in done.stdout
    assert ("---> Models" in done.stdout, "planned-train" in images(site)) == (False, False)


def test_table_has_the_reason_of_a_failed_build(site: Path) -> None:
    add_model(site, "unfinished", "def nobody(): ...\n")
    done = make(site, "all", "train-all", "MODEL_DIRS=unfinished", ENGINE="local")
    assert done.returncode == 2
    assert table_of(done.stdout)["unfinished"].startswith("failed: check: TRAIN_MODULE: ")


def test_old_image_is_not_trained_after_a_failed_build(site: Path) -> None:
    add_model(site, "older")
    assert make(site, "older", "build-train", ENGINE="local").returncode == 0
    (site / "older/train.py").write_text("def nobody(): ...\n")
    trained = '"model_name": "older"'
    done = make(site, "all", "-k", "train-all", "MODEL_DIRS=older", ENGINE="local")
    assert (done.returncode, trained in done.stdout) == (2, False)

    # make itself continues with the next target.
    done = make(site, "older", "-k", "build-train", "train", ENGINE="local")
    assert (done.returncode, trained in done.stdout) == (2, True)


def test_interrupted_train_all_ends_with_the_table(site: Path) -> None:
    add_model(site, "quick")
    add_model(site, "slow", SLOW)
    add_model(site, "later")
    models = "MODEL_DIRS=quick slow later"
    process = subprocess.Popen(
        ["make", "-s", "-C", "all", "train-all", models],
        cwd=site,
        env=clean_environment(ENGINE="local"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    output = ""
    while "training" not in output:
        output += process.stdout.readline()
    # A terminal sends it to every process.
    os.killpg(process.pid, signal.SIGINT)
    table = table_of(process.communicate(timeout=30)[0])
    assert process.returncode != 0
    assert table["quick"].startswith("trained")
    assert table["slow"] == "interrupted"
    assert table["later"] == "not tried"
