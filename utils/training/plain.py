"""Turn a fitted encoder into the plain data that utils/table reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    OneHotEncoder,
    TargetEncoder,
)

from utils.dataset.description import Column, Description
from utils.dataset.kinds import BOOLEANS
from utils.training.encoding import DATE_PARTS
from utils.training.limited import LimitedNumber
from utils.training.split import Parts

MISSING = {"number": np.nan, "date": pd.NaT}


def plain_encoder(
    encoder: ColumnTransformer, description: Description, parts: Parts
) -> dict[str, Any]:
    """Return the fitted encoder as plain data.

    A column accepts missing values if one of `parts` has some. It accepts unknown categories if a
    category is rare in the training part, or is only in the held-out part.
    """
    columns = []
    for (_, step, _), column in zip(encoder.transformers_, description.columns):
        values = pd.concat([part[column.name] for part in parts])
        plain = {"name": column.name, **plain_column(step, column, values)}
        if "missing" in plain:
            plain["missing_texts"] = list(column.missing)
        columns.append(plain)
    others = [column.name for column in (description.label, *description.others)]
    return {"columns": columns, "ignored": [*others, *description.ignore]}


def plain_column(step: Any, column: Column, values: pd.Series) -> dict[str, Any]:
    """Return the plain form of a column without its name."""
    if step == "drop":
        return {"unused": True}
    plain = plain_step(step)
    if column.kind == "date":
        plain["format"] = column.format
    if column.kind == "boolean":
        plain["texts"] = BOOLEANS
    if column.values == "integer":
        plain["integers"] = True
    if values.isna().any():
        plain["missing"] = block_of(step, column, MISSING.get(column.kind))
    if isinstance(step, OneHotEncoder) and is_open(step, values):
        plain.setdefault("unknown", [0.0] * len(step.get_feature_names_out()))
    return plain


def is_open(step: OneHotEncoder, values: pd.Series) -> bool:
    """Return whether the table has categories that the encoder has not seen.

    Then the server accepts other unknown categories too, with zeros in all cells.
    """
    if step.handle_unknown == "ignore":
        return False
    return not values.dropna().isin(step.categories_[0].tolist()).all()


def plain_step(step: Any) -> dict[str, Any]:
    """Return the plain form of a fitted transformer.

    An imputer and an indicator need none: `missing` is the result of the transformer.
    """
    if isinstance(step, (FeatureUnion, Pipeline)):
        members = step.transformer_list if isinstance(step, FeatureUnion) else step.steps
        merged: dict[str, Any] = {}
        for _, member in members:
            merged |= plain_step(member)
        return merged
    if isinstance(step, FrozenEstimator):
        return plain_step(step.estimator)
    for kind, plain in PLAIN.items():
        if isinstance(step, kind):
            return plain(step)
    return {}


def plain_bins(step: KBinsDiscretizer) -> dict[str, Any]:
    """Return the inner borders of the bins."""
    return {"edges": step.bin_edges_[0][1:-1].tolist()}


def plain_limited(step: LimitedNumber) -> dict[str, Any]:
    """Return the limits and, if they are used, scale and knots."""
    knots = step.knots_.tolist()
    plain: dict[str, Any] = {"limits": [knots[0], knots[-1]]}
    if step.scaled:
        plain["scale"] = [step.mean_, step.deviation_]
    if step.knots:
        plain["knots"] = knots
    return plain


def plain_one_hot(step: OneHotEncoder) -> dict[str, Any]:
    """Return the categories with a cell of their own.

    If some categories are rare, `unknown` is the block of all rare and unknown ones.
    """
    (rare,) = getattr(step, "infrequent_categories_", [None])
    shared = [] if rare is None else rare.tolist()
    categories = step.categories_[0].tolist()
    plain = {"categories": [each for each in categories if each is not None and each not in shared]}
    if shared:
        plain["unknown"] = [0.0] * (len(step.get_feature_names_out()) - 1) + [1.0]
    return plain


def plain_means(step: TargetEncoder) -> dict[str, Any]:
    """Return the categories, the block of each one, and that of an unknown one."""
    blocks = dict(zip(step.categories_[0].tolist(), np.stack(step.encodings_, axis=1).tolist()))
    blocks.pop(None, None)
    return {
        "categories": list(blocks),
        "means": list(blocks.values()),
        "unknown": np.atleast_1d(step.target_mean_).tolist(),
    }


def plain_parts(step: ColumnTransformer) -> dict[str, Any]:
    """Return the parts of a date."""
    fitted = {name: part for name, part, _ in step.transformers_ if name in DATE_PARTS}
    return {"parts": [{"name": name, **plain_step(part)} for name, part in fitted.items()]}


def plain_words(step: TfidfVectorizer) -> dict[str, Any]:
    """Return the words and their inverse document frequencies."""
    return {"words": step.get_feature_names_out().tolist(), "idf": step.idf_.tolist()}


PLAIN = {
    KBinsDiscretizer: plain_bins,
    LimitedNumber: plain_limited,
    OneHotEncoder: plain_one_hot,
    TargetEncoder: plain_means,
    ColumnTransformer: plain_parts,
    TfidfVectorizer: plain_words,
}


def block_of(step: Any, column: Column, value: Any) -> list[float | None]:
    """Return the cells that a fitted transformer gives a value, with None for NaN."""
    dtype = {"number": np.float64, "date": "datetime64[us]"}.get(column.kind, object)
    values = pd.Series([value], name=column.name, dtype=dtype)
    found = step.transform(values if column.kind == "text" else values.to_frame())
    block = found.toarray() if sparse.issparse(found) else np.asarray(found)
    return [None if np.isnan(cell) else float(cell) for cell in block[0].astype(np.float64)]
