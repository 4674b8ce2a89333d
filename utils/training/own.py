"""Fit a pipeline of an author's own, which encodes the DataFrame itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import has_fit_parameter

from utils.dataset.description import Column, Description
from utils.dataset.kinds import BOOLEANS
from utils.errors import TrainingError
from utils.training.encoding import fit_quietly
from utils.training.split import Parts

# No table has this category.
UNKNOWN_TEXT = "\0unknown"
UNKNOWN_INTEGER = -(2**53)


def takes_table(estimator: Any) -> bool:
    """Return whether an estimator is fitted on the DataFrame itself.

    It is a pipeline whose first step selects columns, or contains such a pipeline.
    """
    if isinstance(estimator, Pipeline):
        return selects_columns(estimator.steps[0][1])
    if not hasattr(estimator, "get_params") or isinstance(estimator, type):
        return False
    members: list[Any] = []
    for value in estimator.get_params(deep=False).values():
        members += [pair[1] for pair in value if is_pair(pair)] if is_list(value) else [value]
    return any(hasattr(member, "predict") and takes_table(member) for member in members)


def is_list(value: Any) -> bool:
    """Return whether a parameter is a list."""
    return isinstance(value, (list, tuple))


def is_pair(value: Any) -> bool:
    """Return whether a value is a named estimator."""
    return is_list(value) and len(value) == 2


def selects_columns(step: Any) -> bool:
    """Return whether the first step of a pipeline takes a DataFrame."""
    if isinstance(step, FeatureUnion):
        return any(selects_columns(member) for _, member in step.transformer_list)
    if isinstance(step, Pipeline):
        return selects_columns(step.steps[0][1])
    return isinstance(step, (ColumnTransformer, FunctionTransformer))


def fit_on_table(
    estimator: Any, features: pd.DataFrame, target: np.ndarray, weights: np.ndarray | None
) -> Any:
    """Return the fitted estimator. Raises TrainingError if it takes no weights."""
    options = {}
    if weights is not None:
        final = estimator[-1] if isinstance(estimator, Pipeline) else estimator
        if not has_fit_parameter(final, "sample_weight"):
            raise TrainingError(f"{type(final).__name__} takes no sample weights. Remove `weight`.")
        prefix = f"{estimator.steps[-1][0]}__" if isinstance(estimator, Pipeline) else ""
        options[f"{prefix}sample_weight"] = weights
    return fit_quietly(clone(estimator), features, target, **options)


def plain_columns(pipeline: Any, description: Description, parts: Parts) -> dict[str, Any]:
    """Return what is valid in a request, as utils/table/columns.py describes it.

    A column accepts missing values if one of `parts` has some, and unknown categories if the
    pipeline does.
    """
    columns = []
    for column in description.columns:
        plain = plain_column(column, parts)
        if "categories" in plain and takes_unknown(pipeline, column, description, parts):
            plain["unknown"] = []
        columns.append(plain)
    others = [column.name for column in (description.label, *description.others)]
    return {"columns": columns, "ignored": [*others, *description.ignore]}


def plain_column(column: Column, parts: Parts) -> dict[str, Any]:
    """Return the valid values of a column."""
    values = pd.concat([part[column.name] for part in parts])
    known = values.dropna()
    plain: dict[str, Any] = {"name": column.name}
    if column.kind == "date":
        plain |= {"format": column.format, "parts": []}
    elif column.kind == "text":
        plain |= {"words": [], "idf": []}
    elif column.kind == "boolean":
        plain |= {"categories": sorted(known.unique().tolist()), "texts": BOOLEANS}
    elif column.kind == "category":
        plain["categories"] = sorted(known.unique().tolist())
        if column.values == "integer":
            plain["integers"] = True
    if len(known) < len(values):
        plain |= {"missing": [], "missing_texts": list(column.missing)}
    return plain


def takes_unknown(pipeline: Any, column: Column, description: Description, parts: Parts) -> bool:
    """Return whether a fitted pipeline accepts an unknown category in a column."""
    if column.kind == "boolean" or description.unknown == "reject":
        return False
    row = parts.held_out[[each.name for each in description.columns]].head(1).copy()
    value = UNKNOWN_INTEGER if column.values == "integer" else UNKNOWN_TEXT
    row[column.name] = pd.Series([value], index=row.index, dtype=object)
    try:
        pipeline.predict(row)
    except ValueError:
        return False
    return True
