"""The spread of methods that state none: finite whatever the distances are."""

import warnings

import numpy as np

from driftfield.filling.spread import Distances
from driftfield.filling.validation import score


def test_few_distances_with_many_ties_have_a_spread_each() -> None:
    distance = np.repeat([1.0, 2.0, 3.0, 15.033296378372908], [575, 101, 4, 2])
    rng = np.random.default_rng(0)
    for size in (*range(5, 60, 3), distance.size):
        some = rng.choice(distance, size)
        error = some * rng.standard_normal(size)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fitted = Distances.fit(error, some)
        assert np.isfinite(fitted.spread).all()
        assert np.isfinite(score("linear", error, None, some).crps)
