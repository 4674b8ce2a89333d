"""The texts of a new project: three model directories, their names and README.

This module uses only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from project.instance_file import instances_text


class Kind(NamedTuple):
    """A kind of model and its directory.

    `packages` is the directory of the template that has its requirements. `estimators` are the
    module, the class and the arguments for each task.
    """

    directory: str
    packages: str
    title: str
    estimators: dict[str, tuple[str, str, tuple[str, ...]]]


LOGISTIC = ("C=1.0", "max_iter=1000")
FOREST = ("n_estimators=100", "max_depth=14", "min_samples_leaf=3", "n_jobs=-1", "random_state=0")
BOOSTING = ("n_estimators=200", "learning_rate=0.1", "max_depth=4", "random_state=0")
KINDS = (
    Kind(
        "linear",
        "logisticRegression",
        "Linear model",
        {
            "classification": ("sklearn.linear_model", "LogisticRegression", LOGISTIC),
            "regression": ("sklearn.linear_model", "Ridge", ("alpha=1.0",)),
        },
    ),
    Kind(
        "forest",
        "randomForest",
        "Random forest",
        {
            "classification": ("sklearn.ensemble", "RandomForestClassifier", FOREST),
            "regression": ("sklearn.ensemble", "RandomForestRegressor", FOREST),
        },
    ),
    Kind(
        "boosting",
        "xgBoost",
        "Gradient-boosted trees",
        {
            "classification": ("xgboost", "XGBClassifier", BOOSTING),
            "regression": ("xgboost", "XGBRegressor", BOOSTING),
        },
    ),
)


class Names(NamedTuple):
    """The names of a project, its data set and its task."""

    name: str
    data: str
    label: str
    task: str

    @property
    def package(self) -> str:
        """The Python package of the models."""
        return f"{self.name}_prediction"

    @property
    def containers(self) -> str:
        """The prefix of the image names."""
        return self.name.replace("_", "-")


TRAIN = '''"""Train {model}: {title}."""

from {module} import {estimator}

from common_utils.train_utils import train_model


def train(msg):
    """Write models/{model}.pkl from `msg.payload`; return its metrics."""
    estimator = {estimator}(
        {arguments},
    )
    return train_model(msg, estimator, "{Title}")
'''
PREDICT = '''"""Answer POST /{model}/predict."""

from utils.serving import served


@served("{model}")
def predict_{model}(msg, model):
    """Return the model's answer for the instances."""
    return model.answer(msg)
'''
ENVIRONMENT = """ROUTES={model}/predict:{package}.predict:predict_{model}
TRAIN_MODULE={package}.train
TRAIN_FUNCTION=train
PREDICT_MODULE={package}.predict
PREDICT_FUNCTION=predict_{model}
"""
MAKEFILE = """MODEL_NAME := {model}
DATASET_NAME := {data}
CONTAINER_NAME := {container}
include ../model.mk
"""
MODEL_README = """# {Title}

This model predicts the column `{label}` of `{data}`.
`train.py` has the estimator and its settings.

```sh
make build-train && make train
make build-predict && make predict DETACH=1
make test-endpoint && make stop
```

The route is `POST /{model}/predict`.
`test/test_instances.json` is an example of a request.
"""
PROJECT_NAMES = """# The names of the project. An update of the template does not change this file.
#
# ROUTES use this package name for the models. It does not depend on the name of the clone's folder.
PACKAGE := {package}
"""
ALL_MAKEFILE = """\
# The combined image, which serves all models. To add a model, add its directory to MODEL_DIRS.
MODEL_DIRS := {directories}
CONTAINER_NAME := {containers}-all
include ../all.mk
"""
README = """# {name}

Three models predict the column `{label}` of `{data}` ({task}).
Each model is trained and served in a container or directly on your machine. One combined server
serves all of them.

```sh
make demo
make test
```

`make demo` trains the models, serves them from one server and sends test requests. It needs Python
3.11 to 3.14, GNU Make and access to a package index. `make test` tests the models.

| directory | route |
|---|---|
{routes}

| you want to | do this |
|---|---|
| serve all models on port 5111 | `make train-all`, then `make predict-all` |
| train or serve one model | `make help` in its directory shows the commands |
| change a model | edit `train.py` or `predict.py` in its directory |
| add, remove a model | `make new-model NAME=lightGBM`, `make remove-model NAME=lightGBM` |
| change how columns are read | edit `{description}` |
| choose the models of the combined server | edit `MODEL_DIRS` in `all/Makefile`, `make generate` |
| add a model | `make new-model NAME=lightGBM` |
| check your files, this machine | `make check`, `make doctor` |
| take a later version of the template | `make update-template` |

## Your files and the template's files

This project was made from a template. Your files are the model directories, `data/`, `README.md`,
`project.mk` and `all/Makefile`. An update does not change them. All other files come from the
template, and an update changes them. If you edit one of them, an update may have a conflict.

The remote `template` is {url}.
Its documentation is in its folder `docs/`, which is not a part of the project. To read a page, type
`git show template/HEAD:docs/serving.md`, for example.
"""


class Model(NamedTuple):
    """The names of a new model and its data set."""

    name: str
    data: str
    container: str


def write(path: Path, text: str) -> None:
    """Write a file and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_model(root: Path, template: Path, kind: Kind, names: Names, rows: list[Any]) -> None:
    """Write the directory of a model, with packages of a model of the template."""
    directory = root / kind.directory
    module, estimator, arguments = kind.estimators[names.task]
    values = {
        "model": f"{names.name}_{kind.directory}",
        "container": f"{names.containers}-{kind.directory}",
        "package": names.package,
        "data": names.data,
        "label": names.label,
        "title": kind.title[0].lower() + kind.title[1:],
        "Title": kind.title,
        "module": module,
        "estimator": estimator,
        "arguments": ",\n        ".join(arguments),
    }
    texts = {
        ".s2i/environment": ENVIRONMENT,
        "Makefile": MAKEFILE,
        "README.md": MODEL_README,
        "predict.py": PREDICT,
        "train.py": TRAIN,
    }
    for name, text in texts.items():
        write(directory / name, text.format(**values))
    write(directory / "__init__.py", "")
    write(directory / "test" / "test_instances.json", instances_text({"instances": rows}))
    for name in ("requirements_train.txt", "requirements_predict.txt", "setup.sh"):
        source = template / kind.packages / name
        if source.exists():
            shutil.copy2(source, directory / name)


def write_project(root: Path, names: Names, url: str) -> None:
    """Write the files of a project that are not those of a model."""
    directories = [kind.directory for kind in KINDS]
    routes = [f"| `{name}` | `POST /{names.name}_{name}/predict` |" for name in directories]
    values = {
        **names._asdict(),
        "package": names.package,
        "containers": names.containers,
        "directories": " ".join(directories),
        "routes": "\n".join(routes),
        "description": str(Path(names.data).with_suffix(".toml")),
        "url": url,
    }
    write(root / "project.mk", PROJECT_NAMES.format(**values))
    write(root / "all" / "Makefile", ALL_MAKEFILE.format(**values))
    write(root / "README.md", README.format(**values))


def changed_line(line: str, values: dict[str, str]) -> str:
    """Return a line of a Makefile, with the new value of the variable that it sets."""
    name, sign, _ = line.partition(":=")
    return f"{name}:= {values[name.strip()]}" if sign and name.strip() in values else line


def rename(directory: Path, model: Model, value: Callable[[str, str], str]) -> None:
    """Replace the names in a copied model directory.

    `value` returns the value of a variable in a directory's Makefile.
    """
    old = value(directory.name, "MODEL_NAME")
    makefile = directory / "Makefile"
    text = makefile.read_text(encoding="utf-8")
    new = {"MODEL_NAME": model.name, "DATASET_NAME": model.data, "CONTAINER_NAME": model.container}
    lines = [changed_line(line, new) for line in text.split("\n")]
    write(makefile, "\n".join(lines))

    # A function may have the name as its end: predict_churn.
    words = "|".join(map(re.escape, {old, old.replace("-", "_")}))
    complete = re.compile(rf"(?<![A-Za-z0-9])({words})(?![A-Za-z0-9_])")
    for name in (".s2i/environment", "predict.py", "train.py"):
        file = directory / name
        write(file, complete.sub(model.name, file.read_text(encoding="utf-8")))
    train = directory / "train.py"
    text = train.read_text(encoding="utf-8")
    # The texts of the copied model name its estimator and its data.
    text = re.sub(r'\A""".*?"""', f'"""Train {model.name}."""', text, flags=re.DOTALL)
    text = re.sub(r'(train_model\(\w+, \w+, )"[^"]*"', rf'\1"{directory.name}"', text)
    write(train, text)


def other_estimator(train: Path, task: str) -> None:
    """Replace a classifier by a regressor of the same kind, or the reverse."""
    text = train.read_text(encoding="utf-8")
    other = "regression" if task == "classification" else "classification"
    for kind in KINDS:
        module, estimator, _ = kind.estimators[other]
        call = re.compile(rf"\b{estimator}\([^()]*\)")
        if call.search(text):
            new_module, new_estimator, arguments = kind.estimators[task]
            lines = ",\n        ".join(arguments)
            text = call.sub(f"{new_estimator}(\n        {lines},\n    )", text)
            text = text.replace(f"from {module} import", f"from {new_module} import")
            text = re.sub(rf"\b{estimator}\b", new_estimator, text)
    ends = ("Classifier", "Regressor") if task == "regression" else ("Regressor", "Classifier")
    text = re.sub(rf"(?<=[A-Za-z]){ends[0]}\b", ends[1], text)
    write(train, text)
