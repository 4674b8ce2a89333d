"""Write and read the complete form of an estimator.

It is a fitted pipeline in the format of skops.
skops reads a file of data and calls only types that are trusted. Most of them are written in
compiled code, which does not check all of its data. Therefore check_trees does it, and the server
tries each file in a process of its own first (utils/forms/trial.py).

skops, scikit-learn and pandas are imported when they are needed, because the fast form needs none
of them.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import json
import os
import re
import sys
from collections.abc import Callable, Collection
from types import FunctionType, SimpleNamespace
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np

from utils.errors import ModelFileError
from utils.table.rows import InvalidInstances

# skops itself trusts the estimators of scikit-learn. These are the other types and functions in
# fitted pipelines. A type is called with data of the file, so add only types that store their data
# and compute with them.
TRUSTED_BY_MODULE = {
    "numpy": "dtype float32 float64",
    "scipy.sparse._csr": "csr_matrix",
    "sklearn._loss.loss": "HalfTweedieLoss HalfTweedieLossIdentity",
    "sklearn.calibration": "_CalibratedClassifier _SigmoidCalibration _TemperatureScaling",
    "sklearn.compose._column_transformer": "make_column_selector",
    "sklearn.ensemble._hist_gradient_boosting.predictor": "TreePredictor",
    "sklearn.feature_selection._mutual_info": "mutual_info_classif mutual_info_regression",
    "sklearn.feature_selection._univariate_selection": "chi2 f_classif f_regression",
    "sklearn.gaussian_process._gpc": "_BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels": (
        "ConstantKernel Matern Product RBF RationalQuadratic Sum WhiteKernel"
    ),
    "sklearn.metrics._classification": "accuracy_score balanced_accuracy_score f1_score",
    "sklearn.metrics._scorer": "_CurveScorer _Scorer",
    "sklearn.metrics._dist_metrics": "EuclideanDistance64 ManhattanDistance64",
    "sklearn.multiclass": "_ConstantPredictor",
    "sklearn.neighbors._ball_tree": "BallTree",
    "sklearn.neighbors._kd_tree": "KDTree",
    "sklearn.neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
    "sklearn.tree._tree": "Tree",
    "sklearn.utils._bunch": "Bunch",
    "sklearn.utils._metadata_requests": "MetadataRequest MethodMetadataRequest",
    "utils.training.encoding": "date_parts fill_texts to_float32",
    "utils.training.limited": "LimitedNumber",
}
TRUSTED = tuple(
    f"{module}.{name}" for module, names in TRUSTED_BY_MODULE.items() for name in names.split()
)
# The libraries of each file in the complete form, by its engine.
LIBRARIES = {"skops": ("pandas", "scikit-learn", "skops"), "own": ("pandas", "scikit-learn")}
# Installed with them, or not a library.
OTHERS = ("builtins", "numpy", "pandas", "scipy", "sklearn", "utils")
# A compressed file can describe more bytes than the memory has.
MAX_UNPACKED = 1 << 30
MESSAGE_LENGTH = 200


def dump(pipeline: Any) -> bytes:
    """Return a fitted pipeline in the format of skops.

    Equal pipelines give equal bytes.
    Raises ModelFileError if skops cannot write it.
    """
    import skops.io

    try:
        content = skops.io.dumps(pipeline)
    # skops raises many types of exceptions.
    except Exception as error:
        raise ModelFileError(f"skops can't save it ({str(error)[:MESSAGE_LENGTH]})") from error
    return _canonical(content)


def _canonical(content: bytes) -> bytes:
    """Return a compressed file without times and memory addresses."""
    with ZipFile(io.BytesIO(content)) as source:
        members = {name: source.read(name) for name in source.namelist()}
    schema = members.pop("schema.json").decode()
    # In JSON, quotes inside a text are escaped, so these patterns match no text of the pipeline.
    numbers: dict[str, int] = {}
    schema = re.sub(
        r'"__id__": (\d+)',
        lambda match: f'"__id__": {numbers.setdefault(match[1], len(numbers))}',
        schema,
    )
    names: dict[str, str] = {}
    schema = re.sub(
        r'"file": "([^"]+)"',
        lambda match: f'"file": "{names.setdefault(match[1], f"{len(names)}.npy")}"',
        schema,
    )
    target = io.BytesIO()
    with ZipFile(target, "w", ZIP_DEFLATED) as file:
        # ZipInfo's default time is a constant.
        file.writestr(ZipInfo("schema.json"), schema, ZIP_DEFLATED)
        for old, new in names.items():
            file.writestr(ZipInfo(new), members[old], ZIP_DEFLATED)
    return target.getvalue()


def types_in(content: bytes) -> list[str]:
    """Return the types and functions that a file names."""
    with ZipFile(io.BytesIO(content)) as file:
        schema = file.read("schema.json").decode()
    pairs = re.findall(r'"__class__": "([^"]+)",\s*"__module__": "([^"]+)"', schema)
    return sorted({f"{module}.{name}" for name, module in pairs})


def untrusted_types(content: bytes, trusted: Collection[str] = ()) -> list[str]:
    """Return the types in a file that neither skops, TRUSTED nor `trusted` lists."""
    import skops.io

    found = skops.io.get_untrusted_types(data=content)
    return sorted(set(found).difference(TRUSTED, trusted))


def required_libraries(pipeline: Any, engine: str = "skops") -> dict[str, str]:
    """Return the versions of the installed libraries that a pipeline needs."""
    from utils.forms.trees import parts_of

    packages = importlib.metadata.packages_distributions()
    modules = {module_of(part) for part in parts_of(pipeline)}.difference(OTHERS)
    names = {*LIBRARIES[engine], *(name for module in modules for name in packages.get(module, ()))}
    return {name: importlib.metadata.version(name) for name in sorted(names)}


def module_of(part: Any) -> str:
    """Return the name of the top module of a type, a function or an object's type."""
    owner = part if isinstance(part, (type, FunctionType)) else type(part)
    return owner.__module__.partition(".")[0]


def check_libraries(name: str, engine: str, required: Any) -> None:
    """Raise ModelFileError unless libraries have the recorded versions."""
    is_dict = isinstance(required, dict) and required.keys() >= set(LIBRARIES.get(engine, ()))
    if not is_dict or not all(key and isinstance(key, str) for key in required):
        raise ModelFileError(f"model {name}: it has no versions of libraries. Train it again.")
    problems = []
    for library, version in required.items():
        try:
            installed = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            installed = "none"
        if installed != version:
            problems.append(f"{library} {version} (installed: {installed})")
    if problems:
        lines = ", ".join(f"{library}=={version}" for library, version in required.items())
        raise ModelFileError(
            f"model {name}: it needs {', '.join(problems)}. Write these lines into "
            f"requirements_predict.txt and build the image again: {lines}. Or train again."
        )


def load_parts(
    contents: dict[str, Any],
    ignore_unknown: bool,
    trusted: Collection[str],
    load_own: Callable[[bytes], Any] | None,
) -> tuple[Any, FittedPipeline]:
    """Return the encoder and the estimator of a model file in the complete form.

    Raises ModelFileError for a library of another version and for a type that is not trusted.
    """
    name = contents["modelName"]
    import_libraries(contents)
    from utils.table.frame import FrameEncoder

    kinds = [column["kind"] for column in contents["schema"]["columns"]]
    encoder = FrameEncoder(contents["scaler"], kinds, ignore_unknown)
    content = contents["model"]
    if contents["engine"] == "skops":
        check_types(name, content, trusted)
        pipeline = load(content, trusted)
    elif load_own is None:
        raise ModelFileError(
            f"model {name}: train.py saves it with a function of its own. "
            "Write the function that loads it into predict.py: @served(..., load=...)"
        )
    else:
        pipeline = load_own(content)
    return encoder, FittedPipeline(pipeline, contents["schema"])


def check_types(name: str, content: bytes, trusted: Collection[str]) -> None:
    """Raise ModelFileError if a type in a file is not trusted."""
    untrusted = untrusted_types(content, trusted)
    if untrusted:
        raise ModelFileError(
            f"model {name}: the file contains types that are not trusted: {', '.join(untrusted)}. "
            f"If you trust its origin and them, write them into predict.py: "
            f'@served("{name}", trusted={list_of_texts([*trusted, *untrusted])})'
        )


def list_of_texts(texts: Collection[str]) -> str:
    """Return texts as a list in Python."""
    return json.dumps(list(texts))


def import_libraries(contents: dict[str, Any]) -> None:
    """Import scikit-learn, pandas and skops if the recorded versions are installed.

    Raises ModelFileError if they are not.
    """
    engine = contents["engine"]
    check_libraries(contents["modelName"], engine, contents.get("requires"))
    # The workers of a server already use all cores, and threads of OpenMP would prevent that they
    # share the imported application (runtime/preload.py). Training has imported scikit-learn.
    if "sklearn" not in sys.modules:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    importlib.import_module("pandas")
    importlib.import_module("skops.io" if engine == "skops" else "sklearn.pipeline")


def load(content: bytes, trusted: Collection[str]) -> Any:
    """Return the fitted pipeline in a file."""
    import skops.io

    from utils.forms.trees import check_trees, parts_of

    with ZipFile(io.BytesIO(content)) as file:
        size = sum(member.file_size for member in file.infolist())
    if size > MAX_UNPACKED:
        raise ValueError(f"it unpacks to {size:,} bytes; at most {MAX_UNPACKED:,} are read")
    pipeline = skops.io.loads(content, trusted=[*TRUSTED, *trusted])
    parts = list(parts_of(pipeline))
    check_trees(parts)
    for part in parts:
        # For a few rows, threads take more time than they save.
        if hasattr(part, "n_jobs"):
            part.n_jobs = 1
    return pipeline


class FittedPipeline:
    """A fitted pipeline of scikit-learn, which gives its own answers."""

    # Only a session of ONNX Runtime has a faster method for one row.
    of_thread = SimpleNamespace(one_row=None)

    def __init__(self, pipeline: Any, schema: dict[str, Any]):
        self._classes = len(schema["classes"])
        self._has_scores: bool = schema.get("scores", True)
        self._transform = None
        self._estimator = pipeline
        # Predictions and scores share the transformed rows, which take most of the time.
        if hasattr(pipeline, "steps") and len(pipeline.steps) > 1:
            self._transform = pipeline[:-1].transform
            self._estimator = pipeline[-1]

    def run(self, frame: Any) -> tuple[list[int], np.ndarray]:
        """Return the class numbers and the probabilities of the rows of a DataFrame.

        The probabilities are rows x classes. Without classes, the second result has the predicted
        numbers (rows x 1). Raises InvalidInstances if the pipeline rejects the rows.
        """
        if not len(frame):
            return [], np.empty((0, self._classes))
        try:
            rows = self._transform(frame) if self._transform else frame
            predictions = np.asarray(self._estimator.predict(rows)).ravel()
            scores = np.empty((len(frame), 0))
            if self._has_scores and self._classes:
                scores = np.asarray(self._estimator.predict_proba(rows), np.float64)
        except ValueError as error:
            problem = str(error)[:MESSAGE_LENGTH]
            raise InvalidInstances(f"the model rejects the rows: {problem}", "instances") from error
        if not self._classes:
            return [], predictions.astype(np.float64).reshape(-1, 1)
        return predictions.astype(np.int64).tolist(), scores
