"""Boosted trees whose thresholds are between neighbouring float32 numbers."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from utils.forms.onnx import to_onnx
from utils.forms.session import _start_session


@pytest.mark.parametrize("start", [1.0, -1.0, 18262.0, 1e-6])
def test_a_threshold_between_neighbours_splits_them_in_onnx_too(start: float) -> None:
    # The bit patterns of neighbours are consecutive integers.
    bits = np.float32(start).view(np.int32) + np.arange(40, dtype=np.int32)
    values = np.repeat(bits.view(np.float32), 20).reshape(-1, 1)
    labels = np.repeat(np.random.default_rng(0).integers(0, 2, 40), 20)
    estimator = HistGradientBoostingClassifier(random_state=0, min_samples_leaf=5)
    estimator.fit(values.astype(np.float64), labels)
    expected = estimator.predict_proba(values)
    assert (estimator.predict(values) == labels).all()

    session = _start_session(to_onnx(estimator, 1))
    _, scores = session.run(None, {session.get_inputs()[0].name: values})
    np.testing.assert_allclose(scores, expected, atol=1e-5)
