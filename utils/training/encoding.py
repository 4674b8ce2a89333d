"""Choose the default encoding of each column for a family of estimators.

docs/your-data.md describes the choices and the measurements behind them.
"""

from __future__ import annotations

import re
import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    TargetEncoder,
)
from sklearn.utils import get_tags

from utils.dataset.description import Column, Description
from utils.errors import TrainingError
from utils.table.texts import WORD
from utils.training.limited import LimitedNumber, is_crowded
from utils.training.split import SEED, Parts

# An author states one of these encodings with `numbers`.
ENCODINGS = ("raw", "binned")
# The bins per number for a linear model were chosen by cross-validation on the training part.
QUANTILES = 32
DISTINCT_QUANTILES = 128
# The knots of a number for a linear model.
KNOTS = 8
# A table with more columns of numbers gets no pieces.
WIDE = 200
# A column with more categories gets the mean of the label for each category.
ONE_HOT_CATEGORIES = 50
# A category in fewer rows shares the cell of all rare and unknown ones. In a small table, the limit
# is a hundredth of the rows, but at least 2.
COMMON_ROWS = 10
FOLDS = 5
WORDS = 300
TREES = re.compile("Tree|Forest|Boost|XGB|LGBM|Bagging")
# The graph of these estimators has no branches for missing values.
NO_MISSING_BRANCHES = re.compile("Bagging")
DATE_PARTS = ("days", "year", "month", "day", "weekday", "hour")


class Family(NamedTuple):
    """The encoding that suits an estimator.

    `numbers` is the encoding of numbers: "raw", "filled" (with the median for a missing value),
    "binned", "scaled" (without outliers), "pieces" (of a spline), or "both" of the last two. The
    matrix is dense, or sparse, which is faster for linear solvers.
    """

    numbers: str
    dense: bool


def family_of(estimator: Any, numbers: str | None) -> Family:
    """Return the encoding of numbers and the form of the matrix for an estimator.

    `numbers` is the encoding of numbers that an author states, or None. Trees get raw numbers, with
    NaN for a missing value, or with the median where they cannot take NaN.
    """
    if numbers not in (None, *ENCODINGS):
        raise TrainingError(f"numbers={numbers!r}: expected 'raw' or 'binned'")
    accepted = get_tags(estimator).input_tags
    name = type(estimator[-1] if isinstance(estimator, Pipeline) else estimator).__name__
    if numbers == "binned":
        return Family("binned", not accepted.sparse)
    if numbers is None and not TREES.search(name):
        return Family("pieces" if accepted.positive_only else "both", not accepted.sparse)
    takes_missing = accepted.allow_nan and not NO_MISSING_BRANCHES.search(name)
    return Family("raw" if takes_missing else "filled", True)


def make_encoder(family: Family, description: Description, parts: Parts) -> ColumnTransformer:
    """Return the encoder of the described columns, not fitted.

    It has one transformer for each column, in the order of the description. The values of the
    training part decide about edges, knots and kinds of encoding. The held-out part only decides
    whether a column accepts missing values.
    """
    chooser = Chooser(family, description, parts.train)
    steps = []
    for place, column in enumerate(description.columns):
        values = parts.train[column.name]
        step: Any = "drop"
        if values.notna().any():
            has_missing = any(bool(part[column.name].isna().any()) for part in parts)
            step = chooser.step(column, values, has_missing)
        selected = column.name if column.kind == "text" else [column.name]
        steps.append((f"column {place}", step, selected))
    return ColumnTransformer(steps, sparse_threshold=0 if chooser.dense else 1)


class Chooser:
    """The choice of a transformer for a column.

    With `strict`, categories are encoded one-hot, and unknown ones are rejected.
    """

    def __init__(self, family: Family, description: Description, train: pd.DataFrame):
        self.numbers, self.dense = family
        self.strict = description.unknown == "reject"
        if self.numbers == "both":
            count = sum(column.kind == "number" for column in description.columns)
            self.numbers = "scaled" if count > WIDE else "both"
            # A wide matrix without pieces has few zeros.
            self.dense = self.dense or count > WIDE
        self.target_type = "continuous"
        if description.task == "classification":
            classes = train[description.label.name].nunique()
            self.target_type = "binary" if classes == 2 else "multiclass"

    def step(self, column: Column, values: pd.Series, has_missing: bool) -> Any:
        """Return the transformer for a column with these values in the training part."""
        if column.kind == "number":
            return self.number(values, has_missing)
        if column.kind == "date":
            return self.date(values, has_missing)
        if column.kind == "text":
            return self.text(values)
        if column.kind == "boolean":
            return self.one_hot(None)
        return self.category(values)

    def number(self, values: pd.Series, has_missing: bool, indicator: bool = True) -> Any:
        """Return the transformer of a number, with an indicator of missing values."""
        if self.numbers == "raw":
            return FunctionTransformer(to_float32)
        if self.numbers == "filled":
            return SimpleImputer(strategy="median", add_indicator=has_missing and indicator)
        indicator = has_missing and indicator
        if self.numbers != "binned":
            scaled = self.numbers != "pieces"
            knots = 0 if self.numbers == "scaled" else KNOTS
            return LimitedNumber(scaled, knots, indicator, self.dense)
        if not has_missing:
            return bins(values)
        step = make_pipeline(SimpleImputer(strategy="median"), bins(values.dropna()))
        return make_union(step, MissingIndicator(features="all")) if indicator else step

    def category(self, values: pd.Series) -> Any:
        """Return the transformer of a category."""
        if self.strict:
            return self.one_hot(None, handle_unknown="ignore")
        if values.nunique() > ONE_HOT_CATEGORIES:
            # The training rows get means that were computed on other rows.
            folds = KFold(FOLDS, shuffle=True, random_state=SEED)
            return self.rounded(TargetEncoder(target_type=self.target_type, cv=folds))
        return self.one_hot(max(2, min(COMMON_ROWS, len(values) // 100)))

    def one_hot(self, rows: int | None, handle_unknown: str = "infrequent_if_exist") -> Any:
        """Return a transformer with a cell for each category of at least `rows` rows."""
        return OneHotEncoder(
            handle_unknown=handle_unknown,
            min_frequency=rows,
            sparse_output=not self.dense,
            dtype=np.float32 if self.dense else np.float64,
        )

    def date(self, values: pd.Series, has_missing: bool) -> Any:
        """Return the transformer of a date: its parts, each encoded as a number.

        All parts share one indicator of missing values, which is the last column.
        """
        parts = date_parts(values.to_frame())
        names = [name for name in DATE_PARTS if name != "hour" or parts[name].any()]
        steps = [(name, self.number(parts[name], has_missing, False), [name]) for name in names]
        if has_missing and self.numbers != "raw":
            steps.append(("missing", MissingIndicator(features="all"), names[:1]))
        numbers = ColumnTransformer(steps, sparse_threshold=0 if self.dense else 1)
        return make_pipeline(FunctionTransformer(date_parts), numbers)

    def text(self, values: pd.Series) -> Any:
        """Return the transformer of a text, or "drop" if no text has a word."""
        if not values.dropna().map(WORD.search).any():
            return "drop"
        words = self.rounded(TfidfVectorizer(max_features=WORDS))
        return make_pipeline(FunctionTransformer(fill_texts), words)

    def rounded(self, step: Any) -> Any:
        """Return the transformer with float32 results if the estimator gets raw numbers.

        Boosted trees could split between float64 numbers that are one float32 number in the server.
        """
        if self.numbers != "raw":
            return step
        return make_pipeline(step, FunctionTransformer(to_float32))


def bins(values: pd.Series) -> Any:
    """Return the transformer that bins a number into quantiles.

    If more than half of the rows have the same value, it uses the quantiles of the distinct values.
    For example, most people have no capital gain. With quantiles of all rows, only a few bins would
    remain for the gains, and the logistic regression would lose a point of accuracy.
    """
    column = values.to_frame()
    crowded = is_crowded(values)
    distinct = column.drop_duplicates()
    binning = KBinsDiscretizer(
        n_bins=min(DISTINCT_QUANTILES if crowded else QUANTILES, len(distinct)),
        quantile_method="averaged_inverted_cdf",
        subsample=None,
    )
    return FrozenEstimator(fit_quietly(binning, distinct)) if crowded else binning


def fit_quietly(estimator: Any, *data: Any, **options: Any) -> Any:
    """Fit without the warnings that are normal for some columns.

    A number with many equal values has fewer quantiles than bins, or a cell without rows.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Bins whose width are too small", UserWarning)
        return estimator.fit(*data, **options)


def to_float32(numbers: Any) -> Any:
    """Return numbers as float32, the type of the matrix in the server."""
    matrix = numbers.to_numpy() if isinstance(numbers, pd.DataFrame) else numbers
    return matrix.astype(np.float32)


def fill_texts(texts: pd.Series) -> pd.Series:
    """Return texts, with an empty one for a missing value."""
    return texts.fillna("")


def date_parts(dates: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of a column of dates, with the names DATE_PARTS."""
    moments = dates.iloc[:, 0]
    clock = moments.dt
    return pd.DataFrame(
        {
            "days": (moments - pd.Timestamp(0)) / pd.Timedelta(days=1),
            "year": clock.year,
            "month": clock.month,
            "day": clock.day,
            "weekday": clock.day_of_week,
            "hour": clock.hour + clock.minute / 60 + clock.second / 3600,
        },
        dtype=np.float64,
    )
