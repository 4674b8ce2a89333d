"""Set options of LightGBM, CatBoost and xgboost that an author has not stated."""

from __future__ import annotations

import copy
from typing import Any

# LightGBM chooses the order of its sums by time measurements unless one is stated. Without
# `verbose`, LightGBM prints a warning for each tree, and CatBoost prints a line. CatBoost writes
# files into the current directory, which is read-only in a container.
OPTIONS: dict[str, dict[str, Any]] = {
    "lightgbm": {"verbose": -1, "deterministic": True, "force_col_wise": True},
    "catboost": {"verbose": False, "allow_writing_files": False},
}
# Other names and opposites of an option. An author who states one of them decides.
OTHER_NAMES = {
    "verbose": {"verbosity", "silent", "logging_level", "verbose_eval", "metric_period"},
    "force_col_wise": {"force_row_wise"},
}
# These options need a part of the rows that decides when to stop.
STOPPING = ("early_stopping_rounds", "early_stopping_round", "use_best_model", "od_wait")

# These options name the categories of the table. The default encoding has other columns.
CATEGORIES = ("cat_features", "categorical_feature", "categorical_features")


def library_of(estimator: Any) -> str:
    """Return the name of the package that defines an estimator."""
    return type(estimator).__module__.partition(".")[0]


def with_options(estimator: Any) -> Any:
    """Return an estimator with the OPTIONS for itself and for its members."""
    libraries = {library_of(member) for member in members_of(estimator)}
    if not libraries & set(OPTIONS):
        return estimator
    # scikit-learn's clone rejects a CatBoost estimator with class weights.
    estimator = copy.deepcopy(estimator)
    for member in members_of(estimator):
        stated = set(member.get_params())
        for name, value in OPTIONS.get(library_of(member), {}).items():
            if not stated & {name, *OTHER_NAMES.get(name, ())}:
                member.set_params(**{name: value})
    return estimator


def without_categories(estimator: Any) -> Any:
    """Return an estimator for encoded columns, without the options CATEGORIES."""
    settings = estimator.get_params(deep=False)
    # The default of HistGradientBoosting is a text.
    stated = [
        name
        for name in CATEGORIES
        if settings.get(name) is not None and not isinstance(settings[name], str)
    ]
    if not stated:
        return estimator
    name = type(estimator).__name__
    print(
        f"     {name}: {stated[0]} is ignored, because the default encoding encodes categories. "
        "To keep it, pass a Pipeline of your own",
        flush=True,
    )
    others = {key: value for key, value in settings.items() if key not in stated}
    return type(estimator)(**others)


def members_of(estimator: Any) -> list[Any]:
    """Return an estimator and the estimators among its parameters."""
    found = [estimator, *estimator.get_params(deep=True).values()]
    return [each for each in found if hasattr(each, "get_params") and hasattr(each, "set_params")]


def stops_early(estimator: Any) -> bool:
    """Return whether the estimator needs rows that decide when to stop."""
    settings = estimator.get_params()
    callbacks = [type(each).__name__ for each in settings.get("callbacks") or ()]
    return any(settings.get(name) for name in STOPPING) or "EarlyStopping" in callbacks
