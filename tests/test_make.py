"""The Makefiles: help, targets, hostile values of public variables, what `all` passes on, old versions of make."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import MODEL_DIRS, ROOT, make_clone, run, setting

MODEL = MODEL_DIRS[0]
DIRECTORIES = [".", "all", *MODEL_DIRS]
MAKEFILES = [
    "Makefile",
    "common.mk",
    "model.mk",
    "all/Makefile",
    *(f"{name}/Makefile" for name in MODEL_DIRS),
]
DOCUMENT = {"build-train", "train", "build-predict", "predict", "test-endpoint"}
RULE = re.compile(r"^([A-Za-z][A-Za-z0-9 _-]*):(?![:=])([^#\n]*)(?:(##-?) (.+))?$", re.MULTILINE)


def make(
    clone: Path, directory: str, *arguments: str, **env: str
) -> subprocess.CompletedProcess[str]:
    return run("make", "-s", "-C", directory, *arguments, cwd=clone, env=env, seconds=60)


# Help


def makefiles_of(directory: str) -> list[str]:
    """The Makefiles that are read in a directory: its own and what it includes."""
    own = "Makefile" if directory == "." else f"{directory}/Makefile"
    return [own, "common.mk", *(["model.mk"] if directory in MODEL_DIRS else [])]


def written(directory: str) -> dict[str, tuple[str | None, str | None]]:
    """Every target in a directory's Makefiles with its help's mark (## or ##-) and text."""
    found = {}
    for file in makefiles_of(directory):
        for targets, _, mark, text in RULE.findall((ROOT / file).read_text()):
            found.update(dict.fromkeys(targets.split(), (mark, text)))
    return found


def shown(directory: str, *target: str) -> dict[str, str]:
    """The targets and texts that help prints."""
    done = make(ROOT, directory, *target)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [re.fullmatch(r"  make (\S+) +(.+)", line) for line in done.stdout.splitlines()]
    assert all(lines)
    return {line.group(1): line.group(2) for line in lines if line}


def phony(directory: str) -> set[str]:
    texts = [(ROOT / file).read_text() for file in makefiles_of(directory)]
    return {
        word
        for text in texts
        for line in re.findall(r"^\.PHONY:(.*)$", text, re.MULTILINE)
        for word in line.split()
    }


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_bare_make_prints_help(directory: str) -> None:
    done = make(ROOT, directory)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == make(ROOT, directory, "help").stdout != ""


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_every_target_is_shown_by_help_or_help_all(directory: str) -> None:
    targets = {name: text for name, (_, text) in written(directory).items() if text}
    common = {name: text for name, (mark, text) in written(directory).items() if mark == "##"}
    assert shown(directory, "help-all") == targets
    assert shown(directory, "help") == common


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_every_target_is_phony_and_has_help(directory: str) -> None:
    helped = {name for name, (_, text) in written(directory).items() if text}
    assert phony(directory) - {"$(TRAIN)", "names"} == helped
    assert set(written(directory)) - helped <= {"names"}


@pytest.mark.parametrize("directory", MODEL_DIRS)
def test_a_model_shows_the_documents_targets_and_stop_and_logs(directory: str) -> None:
    assert set(shown(directory)) == DOCUMENT | {"stop", "logs", "help", "help-all"}


def test_the_combined_image_and_the_project_show_the_documents_targets() -> None:
    for directory in (".", "all"):
        assert {"train-all", "predict-all", "test-all"} <= set(shown(directory))


def test_a_target_without_help_is_noticed() -> None:
    text = "bare: other\n\t@true\none two: three ## said\nA := b\nB ::= c\nrare: ##- seldom\n"
    found = [(targets, mark, said) for targets, _, mark, said in RULE.findall(text)]
    assert found == [("bare", "", ""), ("one two", "##", "said"), ("rare", "##-", "seldom")]


@pytest.mark.parametrize("directory", MODEL_DIRS)
def test_a_models_makefile_is_three_names_and_an_include(directory: str) -> None:
    lines = [
        line.split(" ")[0] for line in (ROOT / directory / "Makefile").read_text().splitlines()
    ]
    assert lines == ["MODEL_NAME", "DATASET_NAME", "CONTAINER_NAME", "include"]


# Versions of make

NEWER = re.compile(
    r"^\.ONESHELL|^\.SHELLFLAGS|\$[({]file\b|:::?=|^[\w -]+!=|\$[({](?:guile|intcmp|let)\b|^\.NOTINTERMEDIATE"
    r"|^undefine\b|^(?:un)?private\b|^\S.*&:|^-?load\b|\.EXTRA_PREREQS|\.WAIT\b|--output-sync",
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
    *(
        "| touch canary",
        "& touch canary &",
        "> canary",
        "<(touch canary)",
        "x\ntouch canary\n",
        "x\n\ttouch canary",
    ),
    *(
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
    ),
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
SOME = HOSTILE[::6]  # where a target reads a variable by a road that another one has shown whole
PROBE = """import json, os, sys
from utils.encode_decode import model_path

def train(msg):
    print(json.dumps(msg.payload))
    print("PORT is", os.environ["PORT"], file=sys.stderr)
    model_path(msg.payload["model_name"])
"""


def add_probe(site: Path, name: str) -> None:
    """Adds a model that trains in no time."""
    shutil.copytree(site / MODEL, site / name, ignore=shutil.ignore_patterns("requirements*"))
    (site / name / "train.py").write_text(PROBE)
    makefile = site / name / "Makefile"
    makefile.write_text(makefile.read_text().replace(setting(MODEL, "CONTAINER_NAME"), name))
    environment = site / name / ".s2i/environment"
    environment.write_text(environment.read_text().replace(setting(MODEL, "MODEL_NAME"), name))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with one more model, `probe`, whose train function prints its message and checks the model's name."""
    clone = make_clone(tmp_path_factory.mktemp("site"))
    add_probe(clone, "probe")
    assert make(clone, "probe", "build-train", ENGINE="local").returncode == 0
    return clone


def listing(site: Path) -> set[str]:
    """Every file of a clone but wheels and environments, which are shared."""
    return {
        os.path.join(folder, name)
        for folder, folders, files in os.walk(site)
        for name in [*files, *folders]
        if "__pycache__" not in os.path.join(folder, name)
    }


def attack(
    site: Path, directory: str, target: str, variable: str, value: str, origin: str, **env: str
) -> subprocess.CompletedProcess[str]:
    """Makes a target with a hostile value and sees that nothing has been executed or written."""
    before = listing(site.parent)
    words = [f"{variable}={value}"] if origin == "command line" else []
    named = {} if words else {variable: value}
    # The tests' own Python starts at once; pyenv's, which may stand first, takes its time.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = make(
        site,
        directory,
        target,
        *words,
        **{"ENGINE": "local", "PATH": path, "WAIT": "0.2", **env, **named},
    )
    assert listing(site.parent) == before, (variable, value)
    return done


ORIGINS = ["command line", "environment"]


def outcomes(problems: Mapping[str, object]) -> None:
    """Fails with every value that went wrong at once."""
    assert not problems, json.dumps(
        {value[:30]: problem for value, problem in problems.items()}, indent=1, default=str
    )


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
        if done.returncode == 0 or not done.stderr.endswith(
            f"{expected.format(value)}{blame(done.stderr)}"
        ):
            problems[value] = done.stderr[-300:]
    outcomes(problems)


def blame(stderr: str) -> str:
    """make's own last line, which tells the recipe that failed."""
    return next(
        (f"{line}\n" for line in stderr.splitlines()[-1:] if line.startswith("make: *** [")),
        "no blame",
    )


IMAGE_TARGETS = {
    "build-train": (HOSTILE, "train"),
    "train": (SOME, "train"),
    "predict": (HOSTILE, "predict"),
}
IMAGE_TARGETS |= {"stop": (SOME, "predict"), "logs": (SOME, "predict")}


@pytest.mark.parametrize("target", IMAGE_TARGETS)
def test_a_hostile_container_name_is_refused_by_name(site: Path, target: str) -> None:
    values, role = IMAGE_TARGETS[target]
    problems = {}
    for value in values:
        done = attack(site, MODEL, target, "CONTAINER_NAME", value, "command line")
        message = f": image name '{value}-{role}': expected lower-case letters and digits"
        if done.returncode == 0 or message not in done.stderr:
            problems[value] = done.stderr[-300:]
    outcomes(problems)


def test_a_hostile_model_name_is_refused_by_name(site: Path) -> None:
    problems = {}
    for value in HOSTILE:
        done = attack(site, "probe", "train", "MODEL_NAME", value, "command line")
        said = (
            f"train: model name {value!r} is not one: expected",
            f"train: MODEL_NAME={value}: quotes are part",
        )
        if done.returncode == 0 or not any(text in done.stderr for text in said):
            problems[value] = done.stderr[-300:]
    outcomes(problems)


def test_a_hostile_data_set_reaches_the_train_function_as_it_is(site: Path) -> None:
    problems = {}
    for value in HOSTILE:
        done = attack(site, "probe", "train", "DATASET_NAME", value, "command line")
        if json.loads(done.stdout or "{}") != {
            "$ref": value,
            "model_name": setting(MODEL, "MODEL_NAME"),
        }:
            problems[value] = (done.stdout, done.stderr[-300:])
    outcomes(problems)


@pytest.mark.parametrize("target", ["train-all", "build-predict", "generate"])
def test_hostile_model_dirs_are_refused_by_name(site: Path, target: str) -> None:
    problems = {}
    for value in [*(HOSTILE if target == "train-all" else SOME), f"{MODEL} ;", f"{MODEL} | x"]:
        done = attack(site, "all", target, "MODEL_DIRS", value, "command line")
        if done.returncode == 0 or "MODEL_DIRS" not in done.stderr:
            problems[value] = (done.returncode, done.stderr[-300:])
    outcomes(problems)


@pytest.mark.parametrize("target", ["train-all", "build-predict", "generate"])
def test_no_model_at_all_is_refused(site: Path, target: str) -> None:
    done = attack(site, "all", target, "MODEL_DIRS", "", "command line")
    assert (done.returncode, "MODEL_DIR" in done.stderr) == (2, True)


UNMOVED = {
    "MODEL_NAME": ("probe", "train"),
    "DATASET_NAME": ("probe", "train"),
    "CONTAINER_NAME": (MODEL, "predict"),
    "MODEL_DIRS": ("all", "generate"),
}


@pytest.mark.parametrize("variable", UNMOVED)
def test_a_makefile_wins_over_the_environment(site: Path, variable: str) -> None:
    directory, target = UNMOVED[variable]
    plain = make(site, directory, target, ENGINE="local")
    problems = {}
    for value in SOME:
        done = attack(site, directory, target, variable, value, "environment")
        if (done.returncode, done.stdout, done.stderr) != (
            plain.returncode,
            plain.stdout,
            plain.stderr,
        ):
            problems[value] = (done.stdout, done.stderr[-300:])
    outcomes(problems)


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


def test_an_unguarded_variable_would_have_been_executed(site: Path) -> None:
    common = site / "common.mk"
    guarded = common.read_text()
    try:
        common.write_text(re.sub(r"^\$\(foreach .*$", "", guarded, flags=re.MULTILINE))
        make(site, MODEL, "logs", "MODEL_NAME=$(shell touch canary)", ENGINE="local")
        assert (site / MODEL / "canary").exists()
    finally:
        common.write_text(guarded)
        (site / MODEL / "canary").unlink(missing_ok=True)


# What `all` passes on


def images(site: Path) -> set[str]:
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
    assert (done.returncode, "build.sh: ENGINE=podman: expected" in done.stderr) == (2, True)


def test_models_given_on_the_command_line_leave_all_as_it_is(site: Path) -> None:
    before = {path: path.read_bytes() for path in (site / "all").rglob("*") if path.is_file()}
    done = make(
        site, "all", "build-predict", f"MODEL_DIRS={MODEL}", "CONTAINER_NAME=few", ENGINE="local"
    )
    assert done.returncode == 0
    routes = (site / ".local/images/few-predict/.s2i/environment").read_text()
    assert "," not in routes and setting(MODEL, "MODEL_NAME") in routes
    assert {
        path: path.read_bytes() for path in (site / "all").rglob("*") if path.is_file()
    } == before


def test_models_train_side_by_side(site: Path) -> None:
    names = ["probe1", "probe2", "probe3"]
    for name in names:
        add_probe(site, name)
    done = make(site, "all", "-j4", "train-all", f"MODEL_DIRS={' '.join(names)}", ENGINE="local")
    assert (done.returncode, done.stderr.count("*** "), done.stdout.count('"model_name"')) == (
        0,
        0,
        3,
    ), done.stderr
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
