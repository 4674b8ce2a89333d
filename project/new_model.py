"""Make a model directory from another one.

Usage: NAME=DIRECTORY [FROM=DIRECTORY] [MODEL_NAME=NAME] [DATASET_NAME=data/FILE] [JOIN=0]
       [CONTAINER_NAME=NAME] new_model.py     (make new-model)

The defaults: FROM is xgBoost, or the first directory of MODEL_DIRS. DATASET_NAME is that of FROM.
MODEL_NAME is NAME in lower case with _ between its words. CONTAINER_NAME is MODEL_NAME with -.
JOIN=0 leaves the combined image as it is. A directory that is not complete is removed. This module
uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from project.combined import change_combined, combined_directories  # noqa: E402
from project.command import run_command  # noqa: E402
from project.describe import describe  # noqa: E402
from project.git import USAGE, ProjectError, Repository  # noqa: E402
from project.instance_file import instances_text  # noqa: E402
from project.models import MODEL_README, Model, other_estimator, rename, write  # noqa: E402
from project.names import check_container, check_directory_name, check_name, snake_case  # noqa: E402

sys.path.insert(0, str(ROOT / "engines"))
from model_names import makefile_value, routes_of  # noqa: E402
from runtime.environment import check_file  # noqa: E402
from runtime.settings import ConfigurationError  # noqa: E402

FORM = "make new-model NAME=lightGBM [FROM=xgBoost] [DATASET_NAME=data/churn.csv]"
MAX_MODEL_NAME = 63
CONFIGURATION = 78


class Arguments(NamedTuple):
    """The checked arguments of the command."""

    name: str
    source: str
    model: Model
    join: bool


def read_arguments(variables: dict[str, str]) -> Arguments:
    """Return the arguments. Raises ProjectError if one is missing or not valid."""
    name = variables.get("NAME", "").strip()
    if not name:
        raise ProjectError(f"NAME is not set. Type {FORM}", USAGE)
    check_directory_name(name, ROOT)
    source = variables.get("FROM", "").rstrip("/") or default_source()
    check_source(source)

    model_name = variables.get("MODEL_NAME") or snake_case(name)
    check_name("MODEL_NAME", model_name, MAX_MODEL_NAME)
    container = variables.get("CONTAINER_NAME") or model_name.replace("_", "-")
    check_container(container)
    data = variables.get("DATASET_NAME") or makefile_value(source, "DATASET_NAME")
    data = os.path.relpath(ROOT / data, ROOT)
    check_data(data)
    model = Model(model_name, data, container)
    check_free(model)
    return Arguments(name, source, model, variables.get("JOIN") != "0")


def default_source() -> str:
    """Return the directory that is copied if FROM is not set."""
    names = ["xgBoost", *combined_directories()]
    existing = [name for name in names if (ROOT / name / "predict.py").is_file()]
    if not existing:
        raise ProjectError(f"there is no model directory to copy. Type {FORM}", USAGE)
    return existing[0]


def check_source(source: str) -> None:
    """Raise ProjectError unless a directory can be copied."""
    models = sorted(model_directories())
    if source not in models:
        names = ", ".join(models)
        expected = f"expected a directory with predict.py and train.py: {names}"
        raise ProjectError(f"FROM={source}: {expected}.", USAGE)
    name = makefile_value(source, "MODEL_NAME")
    for route in check_file(ROOT / source / ".s2i" / "environment", "predict"):
        # Only names with the name of the model can be replaced.
        if not name or name not in route.path or name.replace("-", "_") not in route.function:
            found = f"route {route.path} and function {route.function} of model {name!r}"
            problem = f"expected a route and a function with the name of the model, found {found}"
            raise ProjectError(f"FROM={source}: {problem}. Choose another FROM.", CONFIGURATION)


def model_directories() -> Iterator[str]:
    """Yield the name of each directory with a predict.py and a train.py."""
    for file in ROOT.glob("*/train.py"):
        if (file.parent / "predict.py").is_file() and file.parent.name != "all":
            yield file.parent.name


def check_data(data: str) -> None:
    """Raise ProjectError unless a data set in data/ has a description."""
    path = ROOT / data
    name = f"data/{Path(data).name}"
    if not path.resolve().is_relative_to((ROOT / "data").resolve()):
        advice = f"Copy the file to data/, and set DATASET_NAME={name}"
        raise ProjectError(f"DATASET_NAME={data}: expected a file in data/. {advice}", USAGE)
    # A Makefile would not keep these characters.
    if re.search(r"[#$\\\n]", data):
        expected = "expected a name without #, $ and \\"
        raise ProjectError(f"DATASET_NAME={data}: {expected}. Rename the file.", USAGE)
    if not path.is_file():
        names = ", ".join(sorted(f"data/{file.name}" for file in ROOT.glob("data/*.[cp][sa][vr]*")))
        problem = f"no such file. data/ has {names or 'no table'}"
        raise ProjectError(f"DATASET_NAME={data}: {problem}. Copy your file to data/.", USAGE)
    if not path.with_suffix(".toml").is_file():
        command = f"make describe DATASET_NAME={data} LABEL=COLUMN"
        raise ProjectError(f"{data} has no description. Type {command}", CONFIGURATION)


def check_free(model: Model) -> None:
    """Raise ProjectError if another model has one of the names."""
    for other in sorted(model_directories()):
        for variable in ("MODEL_NAME", "CONTAINER_NAME"):
            value = model.name if variable == "MODEL_NAME" else model.container
            if value == makefile_value(other, variable):
                problem = f"{other} has this {variable}"
                raise ProjectError(f"{variable}={value}: {problem}. Choose another one.", USAGE)
        if f"{model.name}/predict" in routes_of(other):
            problem = f"{other} has the route {model.name}/predict"
            raise ProjectError(f"MODEL_NAME={model.name}: {problem}. Choose another one.", USAGE)


def copy(arguments: Arguments, found: dict[str, Any]) -> None:
    """Copy the files of the source, and replace the names in them."""
    target = ROOT / arguments.name
    repository = Repository(ROOT)
    if not repository.succeeds("rev-parse", "--git-dir"):
        problem = f"{ROOT} is not a git repository"
        raise ProjectError(f"{problem}. Type git init && git add . && git commit", 69)
    listed = repository.output("ls-files", "-z", "--", arguments.source)
    files = [Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()]
    if not files:
        advice = f"Type git add {arguments.source}, and then the command again."
        raise ProjectError(f"git has no files of {arguments.source}. {advice}")
    for file in files:
        copied = target / file.relative_to(arguments.source)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, copied)

    rename(target, arguments.model, makefile_value)
    other_estimator(target / "train.py", found["task"])
    instances = instances_text({"instances": found["instances"]})
    write(target / "test" / "test_instances.json", instances)
    values = {
        "Title": arguments.name,
        "label": found["label"],
        "data": arguments.model.data,
        "model": arguments.model.name,
    }
    write(target / "README.md", MODEL_README.format(**values))


def make(arguments: Arguments) -> None:
    """Make the directory. A failure or a signal removes it."""
    name = arguments.name
    found = describe(ROOT, arguments.model.data)
    try:
        copy(arguments, found)
        if arguments.join:
            change_combined([*combined_directories(), name])
    except BaseException:
        shutil.rmtree(ROOT / name, ignore_errors=True)
        raise
    print(f"---> Made {name} from {arguments.source}: {found['task']} of {found['label']}")
    print(f"---> Edit {name}/train.py and {name}/requirements_train.txt. Then type:")
    print(f"     make -C {name} build-train train build-predict")


def main() -> None:
    """Make the directory that the variables describe."""
    try:
        make(read_arguments(dict(os.environ)))
    except ConfigurationError as error:
        raise ProjectError(str(error), CONFIGURATION) from None


if __name__ == "__main__":
    sys.exit(run_command("new-model", main))
