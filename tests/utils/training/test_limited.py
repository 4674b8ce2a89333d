"""Test that numbers for linear models are encoded as by scikit-learn's own steps."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, SplineTransformer, StandardScaler

from utils.training.limited import LimitedNumber, knots_of


@pytest.mark.parametrize("dense", [True, False])
def test_a_number_is_encoded_as_by_scikit_learn(dense: bool) -> None:
    numbers = np.random.default_rng(0).lognormal(2, 1, 500)
    numbers[::7] = np.nan
    numbers[3] = 1e9
    column = pd.DataFrame({"n": numbers})
    knots = knots_of(column["n"].dropna(), 8)
    clip = FunctionTransformer(lambda values: values.clip(knots[0], knots[-1]))
    fill = SimpleImputer(strategy="median")
    usual = make_union(
        make_pipeline(clip, fill, StandardScaler()),
        make_pipeline(clip, fill, SplineTransformer(degree=1, knots=knots.reshape(-1, 1))),
        MissingIndicator(features="all"),
    )
    expected = usual.fit_transform(column)
    found = LimitedNumber(indicator=True, dense=dense).fit(column).transform(column)
    assert sparse.issparse(found) != dense
    found = found if dense else found.toarray()
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.abs(found).max() < 10, "the outlier has a limited effect"


@pytest.mark.parametrize("numbers", [[5.0] * 9, [0.0] * 8 + [1.0], [1.0, 2.0]])
def test_a_number_with_few_values_has_finite_cells(numbers: list[float]) -> None:
    column = pd.DataFrame({"n": numbers})
    assert np.isfinite(LimitedNumber().fit_transform(column)).all()
